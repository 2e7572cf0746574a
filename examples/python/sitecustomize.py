"""Lets rocketmq-client-python 2.0.0 load a librocketmq that is older than itself.

The package declares the types of every C function when it is imported, also of five that librocketmq 2.0 does not
have, and a missing one fails the import. Python runs this file at its start when it finds it on PYTHONPATH: those five
then load, and fail only when they are called.
"""
import ctypes

MISSING = frozenset([
    'AddMessage',
    'CreateOrderlyProducer',
    'CreateTransactionProducer',
    'SendMessageOrderlyByShardingKey',
    'SendMessageTransaction',
])


class _Stub(object):
    def __init__(self, name):
        self.name = name

    def __call__(self, *args):
        raise NotImplementedError('this librocketmq has no ' + self.name)


_find = ctypes.CDLL.__getattr__


def _find_or_stub(library, name):
    try:
        return _find(library, name)
    except AttributeError:
        if name not in MISSING:
            raise
        stub = _Stub(name)
        setattr(library, name, stub)
        return stub


ctypes.CDLL.__getattr__ = _find_or_stub
