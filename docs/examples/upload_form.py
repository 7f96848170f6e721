"""A form with a file, as a browser sends it; the same file taken while it comes."""

import hashlib
import urllib.request

import millrace as mr

PAGE = """<!doctype html>
<form method="post" enctype="multipart/form-data">
  <input name="title"> <input type="file" name="photo"> <button>Send</button>
</form>"""

app = mr.App()


@app.get("/")
def page(request):
    return mr.Response(PAGE, content_type="text/html; charset=utf-8")


@app.post("/")
async def upload(request):
    # Fields and small files in memory, larger ones in a temporary file.
    form = await request.form(limits=mr.FormLimits(parts=10, total_bytes="1GB", disk_bytes="1GB"))
    photo = form["photo"]
    return {"title": form["title"], "name": photo.safe_filename, "bytes": photo.size}


@app.post("/digest")
async def digest(request):
    # Nothing is kept: each piece is gone when the next one comes.
    digests = {}
    async for part in request.parts():
        sum_ = hashlib.sha256()
        async for piece in part:
            sum_.update(piece)
        digests[part.name] = sum_.hexdigest()[:8]
    return digests


BODY = (
    b'--xyz\r\nContent-Disposition: form-data; name="title"\r\n\r\nThe sea\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="photo"; filename="../sea.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n" + b"x" * 1_000_000 + b"\r\n--xyz--\r\n"
)

if __name__ == "__main__":
    with mr.Server(app) as server:
        for path in ("/", "/digest"):
            request = urllib.request.Request(
                server.url + path, BODY, {"Content-Type": "multipart/form-data; boundary=xyz"}
            )
            with urllib.request.urlopen(request) as answer:
                print(answer.read().decode())
