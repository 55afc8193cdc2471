// Sends a file in pieces, so that a lost connection or a restart of the server costs a piece at most.
const PIECE = 16 * 1024 * 1024;
const TRIES_S = [1, 2, 4, 8, 15, 15, 15, 15, 15];
const IN_HEADERS = { "Content-Type": "application/offset+octet-stream" };

class Refused extends Error {}

let stopped = new AbortController();

document.addEventListener("change", (event) => {
  const drop = event.target.closest("[data-drop]");
  if (drop && event.target.type === "file" && event.target.files.length) begin(drop, event.target.files[0]);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    const drop = event.target.closest?.("[data-drop]");
    if (!drop) return;
    event.preventDefault();
    drop.toggleAttribute("data-over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) begin(drop, event.dataTransfer.files[0]);
  });
document.addEventListener("click", (event) => {
  if (event.target.closest("#stop-sending")) stopped.abort();
});
// A file that was dropped beside the place for it must not replace the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

async function begin(drop, file) {
  const view = new View(drop, file);
  stopped = new AbortController();
  try {
    check(drop, file);
    view.show(0);
    const id = drop.dataset.upload || (await create(drop, file, view));
    await sendAll(`${drop.dataset.uploads}/${id}`, file, view);
    view.say("The file has arrived.");
    location.assign(`${drop.dataset.then}/${id}`);
  } catch (error) {
    view.fail(stopped.signal.aborted ? "" : error.message);
  }
}

function check(drop, file) {
  if (file.size > Number(drop.dataset.most || Infinity)) throw new Refused("This file is too large: split it, or compress it with gzip.");
  if (!file.size) throw new Refused("This file is empty: choose another one.");
  if (drop.dataset.upload && file.size !== Number(drop.dataset.size)) throw new Refused("This is another file: it has not the same size. Choose the same one, or begin anew with New run.");
}

async function create(drop, file, view) {
  const at = `${drop.dataset.uploads}?name=${encodeURIComponent(file.name.slice(-200))}`;
  const answer = await patiently(view, () => ask(at, { method: "POST", headers: { ...IN_HEADERS, "Upload-Length": file.size } }));
  return (await answer.json()).upload_id;
}

async function sendAll(at, file, view) {
  let start = await arrived(at, view);
  while (start < file.size) {
    view.show(start);
    start = await patiently(view, async (isAgain) => {
      if (isAgain) start = await offset(at);
      return start < file.size ? send(at, file, start, view) : start;
    });
  }
  view.show(start);
}

const arrived = (at, view) => patiently(view, () => offset(at));

async function offset(at) {
  return Number((await ask(at, { method: "HEAD" })).headers.get("Upload-Offset"));
}

async function ask(at, options) {
  const answer = await fetch(at, { ...options, signal: stopped.signal });
  await judge(answer.status, () => answer.json(), [429]);
  return answer;
}

// A piece goes by XMLHttpRequest, which says how much of it is sent.
function send(at, file, start, view) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    stopped.signal.addEventListener("abort", stop);
    request.upload.addEventListener("progress", (event) => view.show(start + event.loaded));
    request.addEventListener("loadend", () => {
      stopped.signal.removeEventListener("abort", stop);
      if (!request.status) return failed(new Error("The connection is lost."));
      judge(request.status, () => JSON.parse(request.responseText))
        .then(() => done(Number(request.getResponseHeader("Upload-Offset"))), failed);
    });
    request.open("PATCH", at);
    request.setRequestHeader("Content-Type", IN_HEADERS["Content-Type"]);
    request.setRequestHeader("Upload-Offset", start);
    request.send(file.slice(start, start + PIECE));
  });
}

// What trying again can't mend ends the sending. For a piece, 400, 408 and 409 tell of a cut connection, and of another
// place to go on.
async function judge(status, body, passing = [400, 408, 409, 429]) {
  if (status < 400) return;
  let detail = "The file could not be sent: try again.";
  try { detail = (await body()).detail; } catch { /* no JSON */ }
  if (status === 401) detail = "You are signed out: sign in again, then send the file again.";
  const passes = passing.includes(status) || status >= 500;
  throw passes ? new Error(detail) : new Refused(detail);
}

async function patiently(view, attempt) {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt(tries > 0);
    } catch (error) {
      if (error instanceof Refused || stopped.signal.aborted || tries >= TRIES_S.length) throw error;
      // fetch says so, in other words in each browser, when it reaches nobody.
      view.wait(error instanceof TypeError ? "The connection is lost." : error.message);
      await new Promise((done) => setTimeout(done, TRIES_S[tries] * 1000));
    }
  }
}

class View {
  constructor(drop, file) {
    Object.assign(this, { drop, file, began: 0, first: 0 });
    this.place = document.getElementById("sending");
    this.failure = document.getElementById("sending-failed");
    this.failure.hidden = true;
    this.place.querySelector("strong").textContent = file.name;
    this.place.querySelector("strong").title = file.name;
  }

  show(bytes) {
    if (!this.began) Object.assign(this, { began: performance.now(), first: bytes });
    this.drop.hidden = true;
    this.place.hidden = false;
    this.place.querySelector("progress").value = bytes / this.file.size;
    const seconds = (performance.now() - this.began) / 1000;
    const rate = seconds > 1 ? (bytes - this.first) / seconds : 0;
    const left = rate ? `, ${size(rate)}/s, about ${time((this.file.size - bytes) / rate)} left` : "";
    this.hint(`${size(bytes)} of ${size(this.file.size)}${left}`);
  }

  wait(why) {
    this.hint(`${why} Trying again.`);
    this.say("The connection is lost. Trying again.");
  }

  hint(text) { this.place.querySelector(".hint").textContent = text; }
  say(text) { this.place.querySelector("[role=status]").textContent = text; }

  fail(why) {
    this.place.hidden = true;
    this.drop.hidden = false;
    this.drop.querySelector("input[type=file]").value = "";
    this.failure.hidden = !why;
    this.failure.querySelector("span").textContent = why;
  }
}

function size(bytes) {
  for (const unit of ["B", "KB", "MB"]) {
    if (bytes < 1000) return unit === "B" ? `${Math.round(bytes)} B` : `${bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} GB`;
}

function time(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.round(whole / 60)} min` : `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}
