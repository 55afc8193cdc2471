// Verifies a webhook of the growth engine (https://www.standardwebhooks.com), and returns its event. Throws if it is not right.
// n8n and Zapier run the body of a function; what comes in is named below.
const crypto = require("crypto");

function verify(body, headers, secret) {
  const id = headers["webhook-id"], time = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= 300)) throw new Error("The webhook has no time, or is too old.");
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = crypto.createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest();
  const isSigned = (headers["webhook-signature"] || "").split(" ").some((each) => {
    const given = Buffer.from(each.replace(/^v1,/, ""), "base64");
    return each.startsWith("v1,") && given.length === expected.length && crypto.timingSafeEqual(given, expected);
  });
  if (!isSigned) throw new Error("The webhook was not signed with this secret.");
  return JSON.parse(body);
}

if (typeof $input !== "undefined") {
  // n8n: the node before is a webhook that keeps the body as it came.
  const item = $input.first();
  const body = Buffer.from(item.binary.data.data, "base64");
  return [{ json: verify(body, item.json.headers, $env.GROWTH_HOOK_SECRET) }];
}
if (typeof inputData !== "undefined") {
  // Zapier.
  const headers = Object.fromEntries(Object.entries(JSON.parse(inputData.headers)).map(([k, v]) => [k.toLowerCase().replace(/^http_/, "").replace(/_/g, "-"), v]));
  return verify(Buffer.from(inputData.body), headers, inputData.secret);
}
