"""The usual way to serve a model by hand: FastAPI on uvicorn. `MODEL` names an XGBoost model file."""

import os

import numpy
import xgboost
from fastapi import FastAPI, Request, Response

app = FastAPI()
_booster = xgboost.Booster(model_file=os.environ["MODEL"]) if os.environ.get("MODEL") else None
if _booster is not None:
    _booster.set_param({"nthread": 1})


@app.post("/echo")
async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    row = numpy.array([float(part) for part in (await request.body()).split(b",")], dtype=numpy.float32)
    score = _booster.inplace_predict(row.reshape(1, -1))
    return Response(str(float(score[0])), media_type="text/csv")
