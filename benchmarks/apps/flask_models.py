"""The same with Flask, for gunicorn: what SageMaker's own bring-your-own-container examples do."""

from flask import Flask, Response, request
from scoring import scorer

app = Flask(__name__)
score = scorer()


@app.post("/echo")
def echo():
    return Response(request.get_data(), mimetype="application/json")


@app.post("/invocations")
def invocations():
    return Response(score(request.get_data()), mimetype="text/csv")
