"""A car rental that takes part in sagas: RentCar, and ReturnCar, which takes it back.

What a saga asks of a participant (once per saga and step, undo before do, the same answer again)
is in three SQL functions, which are called in the transaction that changes the cars:

    participant_begin    what is to be done: do, undo, or nothing more
    participant_finish   it is done: the answer goes into the outbox
    participant_refuse   it cannot be done, for this reason: so does the refusal

The relay sends the answers. DATABASE_URL and KAFKA_BROKERS say where everything is.
"""

import json
import os
import signal
import time

import psycopg
from confluent_kafka import Consumer

TOPIC = "car.commands.v1"
STEP = json.dumps(
    {
        "topic": "car.v1",
        "do": "RentCar", "done": "CarRented", "refused": "CarRefused",
        "undo": "ReturnCar", "undone": "CarReturned",
    }
)  # fmt: skip


class Refused(Exception):
    """The business says no. That is an answer; any other error is none."""


def rent(db, saga, body):
    """Gives a free car to the saga. What it did is rolled back if it raises."""
    car = db.execute(
        """update cars set saga = %s
           where plate = (select plate from cars where class = %s and saga is null
                          order by plate limit 1 for update skip locked)
           returning plate""",
        [saga, body["class"]],
    ).fetchone()
    if car is None:
        raise Refused(f"no {body['class']} car is free")
    return {"plate": car[0]}


def give_back(db, saga):
    """Takes back what rent did; called for a saga that has a car, and once."""
    db.execute("update cars set saga = null where saga = %s", [saga])


def handle(db, command, body):
    """Carries a command out in one transaction, together with its answer."""
    saga = "/".join(filter(None, [command.get("saga"), command["key"]]))
    args = [STEP, json.dumps(command)]
    with db.transaction():
        (todo,) = db.execute("select participant_begin(%s, %s)", args).fetchone()
        if todo == "do":
            try:
                with db.transaction():  # a savepoint: a refusal leaves nothing behind
                    reply = rent(db, saga, body)
            except Refused as refusal:
                db.execute("select participant_refuse(%s, %s, %s)", [*args, str(refusal)])
            else:
                db.execute("select participant_finish(%s, %s, %s)", [*args, json.dumps(reply)])
        elif todo == "undo":
            give_back(db, saga)
            db.execute("select participant_finish(%s, %s)", args)


def read(message):
    """Returns a message as the functions take it, and its body."""
    headers = {name: value.decode() for name, value in message.headers() or []}
    command = {
        "id": headers["ce_id"],
        "type": headers["ce_type"],
        "key": message.key().decode(),
        "saga": headers.get("waybill-saga"),
        "traceparent": headers.get("traceparent"),
    }
    return command, json.loads(message.value() or b"{}")


def set_aside(db, message, error):
    """Keeps a message that can never be handled, for a person to look at."""
    db.execute(
        """insert into outbox (topic, key, type, payload, headers)
           values (%s, %s, 'DeadLetter', %s, jsonb_build_object('waybill-dlq-reason', %s::text))""",
        [TOPIC + ".dlq", (message.key() or b"").decode(errors="replace"), message.value() or b"", repr(error)],
    )


def handle_message(db, message):
    command, body = read(message)
    if command["type"] in ("RentCar", "ReturnCar"):  # other types are not for us
        handle(db, command, body)


# What is wrong with a message stays wrong; all else may be different a moment later.
OWN_FAULT = (KeyError, ValueError, TypeError, AttributeError, psycopg.DataError, psycopg.IntegrityError)


def until_done(message, stopping):
    """Tries until the message is handled: a database that is down is no reason to answer anything."""
    pause = 0.05
    while not stopping():
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
                try:
                    handle_message(db, message)
                except OWN_FAULT as error:
                    set_aside(db, message, error)
            return True
        except psycopg.Error as error:
            print(f"trying again in {pause:.2f} s: {error}", flush=True)
            time.sleep(pause)
            pause = min(2 * pause, 5)
    return False


def main():
    stopped = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.append(True))
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BROKERS"],
            "group.id": "car",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([TOPIC])
    try:
        while not stopped:
            message = consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                print(f"kafka: {message.error()}", flush=True)
                continue
            # The offset is committed after the database is: a message can come again, and is answered again.
            if until_done(message, lambda: stopped):
                consumer.commit(message)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
