"""Where export and artifact files are kept: in a folder, or in a bucket of an object storage.

Both store a file under a key that begins with the id of its run. They differ in how a file appears. In a `Folder` it is
there from its first byte, under another name until it is handed out; whoever deletes it ends it. In a `Bucket` it
appears when it is complete, maybe long after its writer lost the right to write it; `pipeline.results.stored_files`
therefore keeps a row for each key.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.storage.bucket import Bucket
from pipeline.storage.folder import Folder

__all__ = ["Bucket", "Folder", "Storage", "check_url", "open_storage"]

Storage = Folder | Bucket

_BUCKET = re.compile(r"(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(?:/[\w.=/-]*)?", re.ASCII)


def open_storage(url: str, folder: Path) -> Storage:
    """The storage at this URL, or the folder if there is none. Contacts nothing yet."""
    if not url:
        return Folder(folder)
    if url.startswith("file:"):
        return Folder(Path(unquote(urlsplit(url).path)))
    return Bucket(url)


def check_url(url: str) -> str:
    """Return the URL of a storage. Raises `ValueError` with a sentence that says what it must be."""
    parts = urlsplit(url)
    is_folder = parts.scheme == "file" and not parts.netloc and len(parts.path) > 1
    if url and not is_folder and not _BUCKET.fullmatch(url):
        raise ValueError(
            "it must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder; keys and"
            " endpoint are given in variables of their own, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL"
        )
    return url
