"""What Lambda steps run: double a weight, and pass on an answer."""


def handler(event: dict, _: object) -> dict:
    return {"doubled": 2 * int(event["weight"]), "answer": f"{event.get('answer')} at {event['weight']}"}
