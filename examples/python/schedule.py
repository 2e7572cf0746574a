"""Schedules one message three seconds ahead and receives it, with the stock rocketmq-client-python.

The package needs librocketmq. Where that is not installed, fetch both into ./lib first:

    python3 install.py lib
    PYTHONPATH=lib python3 schedule.py
"""
import sys
import threading
import time

from rocketmq.client import ConsumeStatus, Message, Producer, PushConsumer

TOPIC = 'python-example'


def now_ms():
    return int(time.time() * 1000)


def schedule(name_server, due):
    producer = Producer('python-example-producer')
    producer.set_name_server_address(name_server)
    producer.start()
    message = Message(TOPIC)
    message.set_keys('order-42')
    message.set_tags('reminder')
    message.set_property('property', 'test')
    message.set_property('__STARTDELIVERTIME', str(due))
    message.set_body('close the unpaid order')
    result = producer.send_sync(message)
    print('scheduled', result.msg_id, 'status', int(result.status), flush=True)
    producer.shutdown()
    return result.msg_id


def receive(name_server, msg_id, due):
    received = threading.Event()

    def on_message(message):
        if message.id == msg_id:
            print('received %s %d ms after its time: %s' % (message.id, now_ms() - due, message), flush=True)
            received.set()
        return ConsumeStatus.CONSUME_SUCCESS

    consumer = PushConsumer('python-example-consumer')
    consumer.set_name_server_address(name_server)
    consumer.subscribe(TOPIC, on_message, 'reminder')
    consumer.start()
    ok = received.wait(30)
    consumer.shutdown()
    return ok


def main():
    name_server = sys.argv[1] if len(sys.argv) > 1 else '127.0.0.1:9876'
    due = now_ms() + 3000
    msg_id = schedule(name_server, due)
    return 0 if receive(name_server, msg_id, due) else 1


if __name__ == '__main__':
    sys.exit(main())
