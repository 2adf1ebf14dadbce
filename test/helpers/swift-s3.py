"""OpenStack Swift with its S3 interface, one process, everything in a folder: python3 swift-s3.py FOLDER PORT ACCESS_KEY SECRET_KEY

All servers of Swift run in this process. Its data stays in the folder, so that it can be killed and started again.
"""

import os
import sys

import eventlet

eventlet.monkey_patch()

import eventlet.wsgi  # noqa: E402
from eventlet import listen, spawn  # noqa: E402

folder, port, access_key, secret_key = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
etc = os.path.join(folder, 'etc')
os.makedirs(etc, exist_ok=True)
os.makedirs(os.path.join(folder, 'devices', 'disk'), exist_ok=True)
with open(os.path.join(etc, 'swift.conf'), 'w') as file:
    file.write('[swift-hash]\nswift_hash_path_suffix = test\n')

from swift.common import utils  # noqa: E402

utils.SWIFT_CONF_FILE = os.path.join(etc, 'swift.conf')
utils.HASH_PATH_SUFFIX, utils.HASH_PATH_PREFIX = b'test', b''

from swift.common import storage_policy  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

storage_policy.reload_storage_policies()
sockets = {kind: listen(('127.0.0.1', 0)) for kind in ('account', 'container', 'object')}
for kind, socket in sockets.items():
    builder = RingBuilder(2, 1, 1)
    place = {'ip': '127.0.0.1', 'port': socket.getsockname()[1], 'device': 'disk', 'weight': 1, 'region': 1, 'zone': 1}
    builder.add_dev(place)
    builder.rebalance()
    builder.get_ring().save(os.path.join(etc, f'{kind}.ring.gz'))

SERVER = """[DEFAULT]
swift_dir = {etc}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
log_level = WARNING
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY = """[DEFAULT]
swift_dir = {etc}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = eu-central-1
force_swift_request_proxy_log = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_{access_key} = {secret_key} .admin
[filter:slo]
use = egg:swift#slo
"""


def app_of(kind, text):
    """Loads a server of Swift from its configuration."""
    from swift.common.wsgi import loadapp

    path = os.path.join(etc, f'{kind}.conf')
    with open(path, 'w') as conf:
        conf.write(text.format(etc=etc, folder=folder, kind=kind, access_key=access_key, secret_key=secret_key))
    return loadapp(path, global_conf={'log_name': kind})


class Cache:
    """In place of memcached, which the proxy asks for."""

    def __init__(self, app):
        self.app, self.values = app, {}

    def __call__(self, env, start_response):
        env['swift.cache'] = self
        return self.app(env, start_response)

    def get(self, key, *args, **kwargs):
        return self.values.get(key)

    def set(self, key, value, *args, **kwargs):
        self.values[key] = value

    def delete(self, key, *args, **kwargs):
        self.values.pop(key, None)


def serve(socket, app):
    eventlet.wsgi.server(socket, app, log_output=False, debug=False, keepalive=True, max_size=1000)


for kind, socket in sockets.items():
    spawn(serve, socket, app_of(kind, SERVER))
serve(listen(('127.0.0.1', port)), Cache(app_of('proxy', PROXY)))
