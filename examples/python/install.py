"""Fetches rocketmq-client-python and a prebuilt librocketmq (x86-64 Linux) into a directory, without installing anything.

    python3 install.py DIR
    PYTHONPATH=DIR python3 schedule.py

The source package has no library in it; the wheel of another package, `rocketmq`, bundles one.
"""
import glob
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

WRAPPER = 'rocketmq-client-python==2.0.0'
BUNDLE = 'rocketmq==0.4.4'


def download(requirement, directory, *options):
    subprocess.check_call([
        sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check', 'download', '--no-deps', '--dest', directory,
    ] + list(options) + [requirement])


def fetch_wrapper(scratch, target):
    download(WRAPPER, scratch, '--no-binary', ':all:')
    (archive,) = glob.glob(os.path.join(scratch, '*.tar.gz'))
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            parts = member.name.split('/')
            if len(parts) == 3 and parts[1] == 'rocketmq' and member.isfile():
                with open(os.path.join(target, parts[2]), 'wb') as out:
                    shutil.copyfileobj(tar.extractfile(member), out)


def fetch_library(scratch, target):
    download(BUNDLE, scratch, '--only-binary', ':all:', '--platform', 'manylinux1_x86_64',
             '--implementation', 'cp', '--python-version', '3.7')
    (archive,) = glob.glob(os.path.join(scratch, '*.whl'))
    os.makedirs(os.path.join(target, '.libs'), exist_ok=True)
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if name == 'rocketmq/librocketmq.so' or name.startswith('rocketmq/.libs/'):
                with open(os.path.join(target, name[len('rocketmq/'):]), 'wb') as out:
                    out.write(wheel.read(name))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    package = os.path.join(sys.argv[1], 'rocketmq')
    os.makedirs(package, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        fetch_wrapper(scratch, package)
        fetch_library(scratch, package)
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sitecustomize.py'), sys.argv[1])


if __name__ == '__main__':
    main()
