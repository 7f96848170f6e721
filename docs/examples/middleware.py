"""What surrounds handlers: a middleware, error handlers, and an app within an app."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import millrace as mr

api = mr.App()
app = mr.App()


@app.middleware
def timing(request: mr.Request, call_next: Callable[[mr.Request], mr.Response]) -> mr.Response:
    begin = time.perf_counter()
    response = call_next(request)
    response.headers["server-timing"] = f"app;dur={(time.perf_counter() - begin) * 1e3:.3f}"
    return response


@app.on_error(KeyError)
def not_found(request: mr.Request, error: KeyError) -> mr.Response:
    return mr.Response({"missing": str(error)}, status=404)


@api.get("/price/{name}")
def price(request: mr.Request) -> dict[str, float]:
    return {"price": {"tea": 2.5, "coffee": 3.0}[request.path_params["name"]]}


@api.get("/order/{amount:int}")
def order(request: mr.Request) -> dict[str, int]:
    if request.path_params["amount"] > 10:
        raise mr.HTTPError(422, "at most 10")
    return {"ordered": request.path_params["amount"]}


app.include("/api", api)


def main() -> None:
    with mr.Server(app) as server:
        for path in ("/api/price/tea", "/api/price/milk", "/api/order/3", "/api/order/11"):
            try:
                with urllib.request.urlopen(server.url + path) as answer:
                    timed = "server-timing" in answer.headers
                    print(path, answer.status, json.load(answer), "timed" if timed else "")
            except urllib.error.HTTPError as error:
                print(path, error.code, error.read().decode())


if __name__ == "__main__":
    main()
