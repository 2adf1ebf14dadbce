import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SETTING_KEYS, SettingsSchema } from '../../../src/config/schema.ts';
import { parseProperties } from '../../../src/config/properties.ts';
import { environmentName, loadSettings } from '../../../src/config/settings-file.ts';
import { settingsWarnings } from '../../../src/config/warnings.ts';

const CONFIG = join(import.meta.dirname, '../../../config');

/** Settings of a file with this text. */
function load(t: Test, text: string, env: Record<string, string> = {}) {
  const directory = t.testdir({ 'gateway.properties': text });
  return loadSettings({ file: join(directory, 'gateway.properties'), env }).settings;
}

t.test('defaults', async (t) => {
  const { settings, ignoredKeys } = loadSettings({ env: {} });
  t.strictSame(ignoredKeys, []);
  t.match(settings, {
    listen_ip: '127.0.0.1',
    'ws.port': 8080,
    'http.port': 8081,
    rtmp_transponder_stream_name_prefix: 'rtmp_',
    rtmp_push_restore_attempts: 3,
    embedded_rtmp_server: true,
  });
  const embedded = (env: Record<string, string>) => loadSettings({ env }).settings.embedded_rtmp_server;
  t.equal(embedded({ NODE_ENV: 'production' }), false);
  t.equal(embedded({ NODE_ENV: 'production', EMBEDDED_RTMP_SERVER: 'true' }), true);
});

t.test('settings and their lists are frozen', async (t) => {
  const { settings } = loadSettings({ env: { CORS_ORIGINS: 'https://a.example' } });
  t.throws(() => Object.assign(settings, { 'http.port': 1 }), TypeError);
  t.throws(() => (settings.cors_origins as string[]).push('*'), TypeError);
});

t.test("the republishing lines of a flashphoner.properties, as WCS's documentation has them", async (t) => {
  t.match(
    load(
      t,
      'rtmp_transponder_stream_name_prefix=\nrtmp_transponder_full_url=true\nrtmp_publisher_ip=127.0.0.1\nrtmp_push_auto_start=true  \nrtmp_push_auto_start_url=rtmp://rtmp.server.com:1935/\nrtmp_push_restore=true\nrtmp_push_restore_attempts=3  \nrtmp_push_restore_interval_ms=5000\nrtmp_out_buffer_enabled=true\nrtmp_transponder_send_metadata=true\nrtmp_flash_ver_subscriber = LNX 76.219.189.0\nrtmp.server_buffer_enabled=true\n',
    ),
    {
      rtmp_transponder_stream_name_prefix: '',
      rtmp_transponder_full_url: true,
      rtmp_publisher_ip: '127.0.0.1',
      rtmp_push_auto_start: true,
      rtmp_push_restore_attempts: 3,
      rtmp_flash_ver_subscriber: 'LNX 76.219.189.0',
    },
  );
});

/** As in the file that comes with WCS. */
const CALL_SETTINGS =
  'media_port_from=31001\r\nmedia_port_to=32000\r\ncodecs=opus,alaw,ulaw,g729,speex16,g722,mpeg4-generic,telephone-event,h264,vp8,flv,mpv\r\ncodecs_exclude_sip=mpeg4-generic,flv,mpv\r\nuser_agent=Flashphoner/1.0\r\ndomain=\r\noutbound_proxy=\r\noutbound_port=5060\r\nrtp_activity_detecting=true,60\r\n';

t.test('a whole flashphoner.properties is accepted, and foreign keys are named', async (t) => {
  const foreign = [
    ...[
      'port_from',
      'port_to',
      'codecs_exclude_streaming',
      'codecs_exclude_sip_rtmp',
      'balance_header',
      'video_enabled',
    ],
    ...['sip_msg_listener', 'call_record_listener', 'auto_login_url', 'get_callee_url', 'client_log_level'],
    ...['on_record_hook_script', 'enable_extended_logging', 'wss.keystore.password', 'wss.cert.password'],
    ...['rtmfp.port', 'rtmp.port', 'rtsp.port', 'ws.address', 'http.address', 'rest_max_connections'],
    ...['disable_rest_requests', 'rtp_receive_buffer_size', 'cdn_enabled', 'webrtc_cc_min_bitrate'],
  ];
  const text = `\uFEFF#Server settings\r\nip = 203.0.113.5\r\nip_local=0.0.0.0\r\nws.port =8080\r\nhls.port=8082\r\nrtmp_push_restore=true\r\n${CALL_SETTINGS}${foreign
    .map((key) => `${key} = geheim\r\n`)
    .join('')}`;
  const file = join(t.testdir({ 'flashphoner.properties': text }), 'flashphoner.properties');
  const { settings, ignoredKeys } = loadSettings({ file, env: {} });
  t.match(settings, { ip: '203.0.113.5', ip_local: '0.0.0.0', 'ws.port': 8080, rtmp_push_restore: true });
  t.strictSame(ignoredKeys, foreign.sort());
  t.notOk('rtmp.port' in settings);
  const odd = join(t.testdir({ x: `__proto__=1\nconstructor=1\nport_to=1\nport_to=2\n${'k'.repeat(200)}=1` }), 'x');
  t.strictSame(
    loadSettings({ file: odd, env: {} }).ignoredKeys,
    ['__proto__', 'constructor', 'port_to', 'k'.repeat(80)].sort(),
  );
});

t.test('the prefix may be set, empty, commented out or missing', async (t) => {
  const key = 'rtmp_transponder_stream_name_prefix';
  for (const [text, expected] of [
    [`${key}=x-`, 'x-'],
    [`${key}=`, ''],
    [`# ${key}=rtmp_`, ''],
    ['', 'rtmp_'],
    [`#${key}=a\n${key}=b`, 'b'],
  ] as const)
    t.equal(load(t, text)[key], expected, text);
  t.equal(load(t, `#${key}=rtmp_`, { RTMP_TRANSPONDER_STREAM_NAME_PREFIX: 'env_' })[key], 'env_');
});

t.test('the environment overrides the file, by known names only', async (t) => {
  const settings = load(t, 'http.port=1000\nlog_level=debug', {
    HTTP_PORT: ' 2000 ',
    HTTP_PROXY: 'x',
    PATH: '/bin',
    RTMP__SERVER_BUFFER_ENABLED: 'x',
    RTMP_SERVER_BUFFER_ENABLED: 'false',
    LOG_LEVEL: '',
  });
  t.equal(settings['http.port'], 2000);
  t.equal(settings['rtmp.server_buffer_enabled'], false);
  t.equal(settings.log_level, 'info', 'empty: the default, whatever the file says');
  t.equal(new Set(SETTING_KEYS.map(environmentName)).size, SETTING_KEYS.length, 'no two settings share a variable');
});

t.test('an empty value is the default, except for texts', async (t) => {
  const empty = load(t, SETTING_KEYS.map((key) => `${key}=`).join('\n'));
  t.strictSame(
    empty,
    { ...SettingsSchema.parse({}), rtmp_transponder_stream_name_prefix: '' },
    'where an empty text is not allowed, it is the default too',
  );
});

t.test('a mistake stops the start and is named with its line and a remedy', async (t) => {
  const cases: [string, RegExp][] = [
    [
      'max_frame_size=1920',
      /gateway\.properties:1: max_frame_size must be WIDTHxHEIGHT in pixels, each from 16 to 16383/,
    ],
    ['max_frame_size=1920x20000', /max_frame_size must be WIDTHxHEIGHT/],
    ['\n\nhttp.port=80a', /gateway\.properties:3: http\.port must be a whole number from 0 to 65535, and is "80a"\.$/],
    ['http.port=65536', /from 0 to 65535/],
    ['http.port=1e3', /from 0 to 65535/],
    ['rtmp_push_restore=yes', /rtmp_push_restore must be true or false, and is "yes"/],
    ['log_level=loud', /must be one of trace, debug, info, warn, error, fatal, silent/],
    ['push_engine=gstreamer', /must be one of ffmpeg, rtmp/],
    ['webhook_urls=ftp://app.example/', /webhook_urls must be a comma-separated list of URLs that begin with http/],
    ['webhook_secret=whsec_c2hvcnQ=', /webhook_secret must be whsec_ and 24 to 64 bytes in base64 [^"]*, or empty\.$/],
    ['webhook_events=push', /webhook_events must be a comma-separated list of events/],
    ['listen_ip=localhost', /must be an IPv4 or IPv6 address/],
    ['rtmp_publisher_ip=eth0', /must be an IPv4 or IPv6 address, or empty/],
    ['cors_origins=https://a.example, b.example', /must be a comma-separated list of origins/],
    ['cors_origins=https://a.example/path', /list of origins/],
    ['destination_allow_networks=10.0.0.0/33', /addresses, networks .* and host names/],
    ['destination_deny_hosts=a b', /addresses, networks .* and host names/],
    ['destination_allow_hosts=*.*', /host names/],
    ['rtmp_transponder_stream_name_prefix=a/b', /may contain letters/],
    [
      'rtmp_push_auto_start_url=http://user:geheim@h/a',
      /rtmp_push_auto_start_url must begin with rtmp:\/\/ or rtmps:\/\/\.$/,
    ],
    ['standby_color=red', /standby_color must be a colour such as #202020/],
    ['standby_source=gif', /standby_source must be one of color, image, video, none/],
    ['rtmps_insecure_host=rtmps://a.example', /rtmps_insecure_host must be one address or host name/],
    [
      `jwt_secret=${'geheim'.repeat(5)}`,
      /jwt_secret must have at least 32 bytes \(openssl rand -base64 48\), or be empty\.$/,
    ],
    [
      'jwt_jwks_url=http://id.example/keys',
      /jwt_jwks_url must be an https:\/\/ URL, or http:\/\/ on loopback, or empty/,
    ],
    [
      'auth_url=https://geheim@app.example/',
      /auth_url must be an http:\/\/ or https:\/\/ URL without user name and password, or empty\.$/,
    ],
    ['rest_api_key=two geheim', /rest_api_key must be printable ASCII without spaces\.$/],
    ['http_port=1', /:1: there is no setting "http_port"\. Did you mean http\.port\?$/],
    ['HTTP.PORT=1', /Did you mean http\.port\?/],
    ['rtmp_push_restore_attemps=1', /Did you mean rtmp_push_restore_attempts\?/],
    ['rtc_prt=1', /Did you mean rtc_port\?/],
    ['destination_denied=10.0.0.0/8', /there is no setting "destination_denied"/],
    [
      'cors_allowed=https://a.example',
      /there is no setting "cors_allowed"\. All settings are listed in config\/gateway\.properties\.example\./,
    ],
    ['http.port=1000\n\nhttp.port=2000', /:3: http\.port is set a second time, after line 1/],
  ];
  for (const [text, message] of cases) {
    t.throws(() => load(t, text), { code: 'SETTINGS_INVALID', message }, text);
    try {
      load(t, text);
    } catch (error) {
      t.notMatch((error as Error).message, 'geheim');
    }
  }
  t.throws(() => loadSettings({ env: { WS_PORT: 'x' } }), { message: /environment variable WS_PORT must be/ });
  t.throws(() => loadSettings({ file: '/nowhere/x.properties', env: {} }), {
    code: 'SETTINGS_INVALID',
    message: /\/nowhere\/x\.properties cannot be read \(ENOENT\)/,
  });
});

t.test('all mistakes are reported at once', async (t) => {
  t.throws(() => load(t, 'htp.port=1\nhttp.port=x\nlog_level=y', { WS_PORT: 'z' }), {
    message: /^The settings are not valid:\n.*:1: .*htp\.port.*\n.*WS_PORT.*\n.*:2: http\.port.*\n.*:3: log_level.*$/,
  });
});

t.test('contradictions', async (t) => {
  const cases: [string, RegExp][] = [
    [
      'listen_ip=0.0.0.0',
      /:1: listen_ip lets other machines use REST and the WebSocket without a key\. Set rest_api_key .*jwt_secret.*auth_url/,
    ],
    ['listen_ip=::', /listen_ip lets/],
    ['listen_ip=192.168.1.5\ncors_origins=*\nallow_anonymous=true', /:2: cors_origins of \*/],
    ['webhook_urls=https://app.example/', /:1: webhook_urls needs a secret for the signatures: set webhook_secret/],
    ['rest_api_key=k\nallow_anonymous=true', /:2: allow_anonymous contradicts rest_api_key/],
    ['auth_url=http://app/auth\nallow_anonymous=true', /:2: allow_anonymous contradicts auth_url/],
    [`jwt_secret=${'s'.repeat(32)}\njwt_jwks_url=https://id.example/keys`, /:2: jwt_jwks_url contradicts jwt_secret/],
    ['tls_cert=a.pem', /:1: tls_cert needs its counterpart/],
    ['tls_key=a.pem', /:1: tls_key needs its counterpart/],
    ['rtmp_push_auto_start=true', /set rtmp_push_auto_start_url/],
    ['standby=true\npush_engine=ffmpeg', /:1: standby needs push_engine=rtmp/],
    ['standby_source=image', /:1: standby_source is image, [^"]*set standby_file/],
    ['rtmp_push_restore_backoff_cap_ms=4999', /must be 0 or at least rtmp_push_restore_interval_ms \(5000\)/],
    ['http.port=8080', /:1: http\.port is 8080, as is ws\.port/],
    ['embedded_rtmp_port=8081', /embedded_rtmp_port is 8081, as is http\.port/],
    ['rtc_port=8081', /:1: rtc_port is 8081, as is http\.port/],
    [
      'rtc_port=8078\nrtc_workers=3',
      /:1: rtc_port is 8078-8080, and ws\.port 8080: each of rtc_workers takes one port from rtc_port on\. Give each its own port/,
    ],
    ['rtc_workers=8\ntls_cert=a\ntls_key=b\nhttps.port=10007', /:4: https\.port is 10007, and rtc_port 10000-10007/],
    [
      'rtc_port=65534\nrtc_workers=3',
      /:1: rtc_port is 65534-65536 with rtc_workers=3, one port for each worker, but the highest port is 65535/,
    ],
    ['tls_cert=a\ntls_key=b\nhttps.port=8443', /:3: https\.port is 8443, as is wss\.port/],
  ];
  for (const [text, message] of cases) t.throws(() => load(t, text), { code: 'SETTINGS_INVALID', message }, text);
  for (const text of [
    'listen_ip=0.0.0.0\nrest_api_key=k',
    'listen_ip=0.0.0.0\nallow_anonymous=true',
    'listen_ip=0.0.0.0\nauth_url=https://app.example/auth',
    `listen_ip=0.0.0.0\njwt_secret=${'s'.repeat(32)}`,
    'listen_ip=::1',
    'listen_ip=127.0.0.2\ncors_origins=*',
    'listen_ip=::\nrest_api_key=k\ncors_origins=*',
    'https.port=8443',
    'embedded_rtmp_port=8081\nembedded_rtmp_server=false',
    'ws.port=0\nhttp.port=0\nrtc_port=0',
    'ws.port=1\nhttp.port=2\nrtc_port=0\nrtc_workers=64',
    'rtc_port=65534\nrtc_workers=2',
    'rtc_port=8078\nrtc_workers=2',
  ])
    t.doesNotThrow(() => load(t, text), text);
});

t.test('the example documents every setting with its default, and nothing else', async (t) => {
  const file = join(CONFIG, 'gateway.properties.example');
  const text = readFileSync(file, 'utf8');
  const keys = parseProperties(text, file).properties.map(({ key }) => key);
  t.strictSame([...keys].sort(), [...SETTING_KEYS].sort());
  t.strictSame(keys, SETTING_KEYS, 'in the order of the schema');
  const { settings, ignoredKeys, sources } = loadSettings({ file, env: {} });
  t.strictSame(settings, SettingsSchema.parse({}));
  t.strictSame(ignoredKeys, []);
  t.ok(SETTING_KEYS.every((key) => sources.get(key) === 'file'));
  t.equal(loadSettings({ file, env: { NODE_ENV: 'production' } }).settings.embedded_rtmp_server, false);
});

t.test('npm start runs with the defaults', async (t) => {
  const { settings, ignoredKeys } = loadSettings({ file: join(CONFIG, 'gateway.properties'), env: {} });
  t.strictSame(settings, SettingsSchema.parse({}));
  t.strictSame(ignoredKeys, []);
});

t.test('a standby picture that is missing is a warning', async (t) => {
  const media_dir = t.testdir({ 'break.png': '' });
  const warnings = (settings: object) => settingsWarnings(SettingsSchema.parse({ media_dir, ...settings }));
  t.same(warnings({}), []);
  t.same(warnings({ standby_source: 'image', standby_file: 'break.png' }), []);
  t.match(warnings({ standby_source: 'video', standby_file: 'gone.mp4' }), [
    `standby_file: there is no gone.mp4 in ${media_dir} (media_dir).`,
  ]);
});

t.test('a cluster needs what its processes share', async (t) => {
  const key = Buffer.alloc(32).toString('base64');
  const fails = (env: Record<string, string>, message: RegExp) => t.throws(() => loadSettings({ env }), { message });
  fails({ ROLE: 'manager' }, /ROLE is manager, which needs Redis: set cluster_redis_url/);
  fails(
    { CLUSTER_REDIS_URL: 'redis://127.0.0.1' },
    /cluster_redis_url\S* needs a state_key|CLUSTER_REDIS_URL needs a state_key/,
  );
  fails({ CLUSTER_REDIS_URL: 'http://127.0.0.1', STATE_KEY: key }, /CLUSTER_REDIS_URL must be redis:\/\//);
  const shared = { CLUSTER_REDIS_URL: 'redis://:secret@127.0.0.1', STATE_KEY: key };
  fails(
    { ...shared, LISTEN_IP: '0.0.0.0', REST_API_KEY: 'k'.repeat(20) },
    /node_url is empty, and listen_ip 0\.0\.0\.0/,
  );
  fails({ ...shared, NODE_URL: 'http://10.0.0.1:8081/path' }, /NODE_URL must be http:\/\/HOST:PORT/);
  fails({ ...shared, ROLE: 'both', MANAGER_HTTP_PORT: '8081' }, /manager_http_port|MANAGER_HTTP_PORT/);
  fails({ ...shared, CLUSTER_PREFIX: '{x}' }, /CLUSTER_PREFIX/);
  for (const url of [
    'redis://127.0.0.1:6379/1',
    'rediss://user:pw@redis.example',
    'redis+sentinel://:pw@a:26379,b/mymaster/2',
    'redis+cluster://a:6379,[::1]:6380',
  ])
    t.equal(loadSettings({ env: { ...shared, CLUSTER_REDIS_URL: url } }).settings.cluster_redis_url, url);
  t.match(loadSettings({ env: { ...shared, ROLE: 'both' } }).settings, { role: 'both', cluster_grace_s: 60 });
});
