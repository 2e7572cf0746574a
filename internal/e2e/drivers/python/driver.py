"""Runs commands for the end-to-end tests with rocketmq-client-python, that is with the C++ client.

One command per line on standard input, as a form-encoded record; one answer per line on standard output, which carries
the command's id. Messages that a consumer gets are lines of their own. The package comment of the tests lists commands
and fields.
"""
import base64
import os
import sys
import threading
import time
import traceback
from urllib.parse import parse_qsl, urlencode

from rocketmq.client import ConsumeStatus, Message, Producer, PushConsumer

_lock = threading.Lock()
_clients = {}
_out = os.fdopen(os.dup(1), 'w', encoding='utf-8', newline='\n')
os.dup2(2, 1)  # a library that prints must not disturb the answers


def now_ms():
    return int(time.time() * 1000)


def say(record):
    with _lock:
        _out.write(urlencode(record) + '\n')
        _out.flush()


def produce(c, name_server):
    producer = Producer(c['group'], timeout=10000)
    producer.set_name_server_address(name_server)
    producer.start()
    _clients[c['name']] = producer
    return {}


def build(c):
    message = Message(c['topic'])
    if c.get('keys'):
        message.set_keys(c['keys'])
    if c.get('tags'):
        message.set_tags(c['tags'])
    message.set_body(base64.b64decode(c['body']))
    for key, value in c.items():
        if key.startswith('prop.'):
            message.set_property(key[len('prop.'):], value)
    if c.get('delay') == 'DELAY':
        message.set_delay_time_level(int(c['value']))
    elif c.get('delay'):
        message.set_property(c['delay'], c['value'])
    return message


def send(c, name_server):
    producer = _clients[c['producer']]
    began = now_ms()
    if c['mode'] == 'oneway':
        producer.send_oneway(build(c))
        return {'began': began, 'ended': now_ms()}
    if c['mode'] != 'sync':
        raise ValueError('unknown mode ' + c['mode'])
    result = producer.send_sync(build(c))
    return {'began': began, 'ended': now_ms(), 'status': 'SEND_' + result.status.name, 'msg_id': result.msg_id,
            'offset': result.offset}


def event(consumer, m, names):
    record = {'consumer': consumer, 'at': now_ms(), 'topic': m.topic, 'msg_id': m.id, 'tags': m.tags or b'',
              'keys': m.keys or b'', 'body': base64.b64encode(m.body), 'queue': m.queue_id, 'offset': m.queue_offset,
              'reconsumed': m.reconsume_times, 'born': m.born_timestamp, 'stored': m.store_timestamp}
    for name in names:
        value = m.get_property(name)
        if value:
            record['prop.' + name] = value
    return record


def consume(c, name_server):
    name, fail = c['name'], int(c['fail'])
    names = [n for n in c.get('properties', '').split(',') if n]  # this API has no way to list them

    def take(message):
        say(event(name, message, names))
        if message.reconsume_times < fail:
            return ConsumeStatus.RECONSUME_LATER
        return ConsumeStatus.CONSUME_SUCCESS

    consumer = PushConsumer(c['group'], orderly=bool(c.get('ordered')))
    consumer.set_name_server_address(name_server)
    consumer.set_instance_name(c['instance'])
    consumer.subscribe(c['topic'], take, c['expression'])
    _clients[name] = consumer
    consumer.start()
    return {}


def stop(c, name_server):
    client = _clients.pop(c['name'], None)
    if client is not None:
        client.shutdown()
    return {}


COMMANDS = {'produce': produce, 'send': send, 'consume': consume, 'stop': stop}


def run(c, name_server):
    try:
        answer = COMMANDS[c['op']](c, name_server)
    except Exception as e:
        traceback.print_exc()
        answer = {'error': type(e).__name__, 'code': 0, 'text': str(e)}
    answer['id'] = c['id']
    say(answer)


def main():
    for line in sys.stdin:
        command = dict(parse_qsl(line.rstrip('\n'), keep_blank_values=True))
        threading.Thread(target=run, args=(command, sys.argv[1]), daemon=True).start()
    os._exit(0)


if __name__ == '__main__':
    main()
