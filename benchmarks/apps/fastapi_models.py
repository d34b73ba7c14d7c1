"""The usual way to serve a model by hand: FastAPI on uvicorn."""

from fastapi import FastAPI, Request, Response
from scoring import scorer

app = FastAPI()
score = scorer()


@app.post("/echo")
async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    return Response(score(await request.body()), media_type="text/csv")
