"""A server in ten lines. Run it, then open http://127.0.0.1:8000/hello/you."""

import millrace as mr

app = mr.App()


@app.get("/hello/{name}")
def hello(request: mr.Request) -> str:
    return f"Hello, {request.path_params['name']}!"


if __name__ == "__main__":
    mr.run(app, port=8000)
