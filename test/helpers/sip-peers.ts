import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort, mediaPorts, ServerProcess } from './server-process.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from './gateway.ts';
import { waitFor } from './wait.ts';

/** SIP programs of Debian. Tests are skipped by name where they are missing. */

const FOLDERS = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
export const findSipProgram = (program: string): string | undefined =>
  FOLDERS.map((folder) => join(folder, program)).find((file) => existsSync(file));

const [BARESIP_PORTS, GATEWAY_PORTS] = [40, 200];

const MODULES = '/usr/lib/baresip/modules';
const BARESIP = findSipProgram('baresip') && existsSync(join(MODULES, 'avcodec.so'));

export const noBaresip = BARESIP ? false : 'baresip is not installed: apt-get install baresip-core baresip-ffmpeg';
export const noBaresipVp8 = existsSync(join(MODULES, 'vp8.so')) ? false : 'the VP8 module of baresip is not installed';
export const noKamailio = findSipProgram('kamailio') ? false : 'kamailio is not installed: apt-get install kamailio';
/** Debian's multi-architecture folders. */
const TLS_MODULE = ['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/kamailio/modules/tls.so`);
export const noKamailioTls =
  noKamailio ||
  (TLS_MODULE.some((file) => existsSync(file))
    ? false
    : 'the TLS module of kamailio is not installed: apt-get install kamailio-tls-modules');
export const noSipp = findSipProgram('sipp') ? false : 'SIPp is not installed: apt-get install sip-tester';
export const KAMAILIO = findSipProgram('kamailio') ?? 'kamailio';
export const SIPP = findSipProgram('sipp') ?? 'sipp';

export interface BaresipOptions {
  /** As baresip writes them. Default: all that it has. */
  readonly audioCodecs?: string;
  /** Default: true. */
  readonly video?: boolean;
  /** Has the video codecs. Default: that of H.264. */
  readonly videoModule?: 'avcodec' | 'vp8';
  /** Further parameters of the account. */
  readonly account?: string;
  /** Registers there: `host:port`. */
  readonly registrar?: string;
  /** Hertz of the tone that it sends. */
  readonly tone?: number;
  /** Sends back what it hears instead of a tone. Default: false. */
  readonly echoes?: boolean;
}

export interface Baresip {
  readonly port: number;
  readonly output: () => string;
  /** A command of its menu: `hangup`, `hold`, `resume`, `dial`. */
  command(command: string, params?: string): Promise<void>;
  /** It sends and answers nothing any more. */
  freeze(): void;
  stop(): Promise<void>;
}

/** A telephone that answers at once, and sends a tone and moving video. */
export async function startBaresip({
  audioCodecs,
  video = true,
  videoModule = 'avcodec',
  account = '',
  registrar,
  tone = 440,
  echoes = false,
}: BaresipOptions = {}): Promise<Baresip> {
  const folder = await mkdtemp(join(tmpdir(), 'baresip-'));
  const [port, control, rtp] = [await freePort(), await freePort(), mediaPorts(BARESIP_PORTS)];
  const modules = ['stdio', 'g711', 'opus', 'srtp', 'ausine', 'aubridge', 'fakevideo'];
  await writeFile(
    join(folder, 'config'),
    [
      `sip_listen 127.0.0.1:${port}`,
      'poll_method epoll',
      'call_max_calls 8',
      // Both ends of the bridge have the same name.
      echoes ? 'audio_source aubridge,echo' : `audio_source ausine,${tone}`,
      echoes ? 'audio_player aubridge,echo' : 'audio_player aubridge,nil',
      'audio_alert aubridge,nil',
      'ausrc_srate 48000',
      'auplay_srate 48000',
      'ausrc_channels 2',
      'auplay_channels 2',
      'video_source fakevideo,nil',
      'video_display fakevideo,nil',
      'video_size 320x240',
      'video_bitrate 300000',
      'video_fps 15',
      'videnc_format yuv420p',
      `rtp_ports ${rtp}-${rtp + BARESIP_PORTS}`,
      'rtcp_mux no',
      'net_interface 127.0.0.1',
      `module_path ${MODULES}`,
      ...modules.map((name) => `module ${name}.so`),
      ...(video ? [`module ${videoModule}.so`] : []),
      'module auconv.so',
      'module auresamp.so',
      'module_tmp uuid.so',
      'module_tmp account.so',
      'module_app menu.so',
      'module_app ctrl_tcp.so',
      `ctrl_tcp_listen 127.0.0.1:${control}`,
      'avcodec_h264enc libx264',
      'avcodec_h264dec h264',
      '',
    ].join('\n'),
  );
  await writeFile(
    join(folder, 'accounts'),
    `<sip:1001@${registrar ?? `127.0.0.1:${port}`};transport=udp>;auth_user=1001;auth_pass=pw-1001;answermode=auto;regint=${registrar ? 60 : 0}${audioCodecs ? `;audio_codecs=${audioCodecs}` : ''}${account}\n`,
  );
  await writeFile(join(folder, 'contacts'), '');
  const process = new ServerProcess('baresip', ['-f', folder], control);
  await process.start();
  return {
    port,
    output: () => process.output,
    command: (command, params = '') => control_(control, JSON.stringify({ command, params, token: 't' })),
    freeze: () => process.freeze(),
    async stop() {
      await process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A netstring over TCP. */
function control_(port: number, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${text.length}:${text},`));
    socket.once('error', reject);
    socket.once('data', () => {
      socket.destroy();
      resolve();
    });
    socket.setTimeout(3000, () => {
      socket.destroy();
      resolve();
    });
  });
}

export interface Kamailio {
  readonly port: number;
  readonly tlsPort: number;
  readonly output: () => string;
  /** Stops it and starts it on the same ports: it has forgotten who was registered, and its output. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface KamailioOptions {
  readonly certificate?: { readonly cert: string; readonly key: string };
  /** Seconds that are granted to registrations at most. */
  readonly maxExpires?: number;
}

/**
 * A registrar and proxy that asks for credentials: the password of USER is pw-USER. It records its route. After each REGISTER
 * it writes `location: USER is there` or `location: USER is gone`, as its table says.
 */
export async function startKamailio({ certificate, maxExpires = 0 }: KamailioOptions = {}): Promise<Kamailio> {
  const folder = await mkdtemp(join(tmpdir(), 'kamailio-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  await mkdir(join(folder, 'run'));
  const modules = [
    'sl',
    'tm',
    'rr',
    'pv',
    'maxfwd',
    'usrloc',
    'registrar',
    'auth',
    'siputils',
    'textops',
    'xlog',
    'sanity',
  ];
  await writeFile(
    join(folder, 'kamailio.cfg'),
    `#!KAMAILIO
debug=1
log_stderror=yes
fork=no
children=1
tcp_children=1
listen=udp:127.0.0.1:${port}
listen=tcp:127.0.0.1:${port}
${certificate ? `listen=tls:127.0.0.1:${tlsPort}\nenable_tls=yes\nloadmodule "tls.so"\nmodparam("tls","certificate","${certificate.cert}")\nmodparam("tls","private_key","${certificate.key}")\nmodparam("tls","tls_method","TLSv1.2+")` : ''}
${modules.map((name) => `loadmodule "${name}.so"`).join('\n')}
modparam("auth", "nonce_expire", 60)
modparam("registrar", "gruu_enabled", 0)
modparam("registrar", "max_expires", ${maxExpires})
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483","Too Many Hops"); exit; }
  if (!sanity_check()) exit;
  if (has_totag()) {
    if (loose_route()) { t_relay(); exit; }
    if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
    sl_send_reply("404","Not here"); exit;
  }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  t_check_trans();
  if (is_method("REGISTER")) {
    if (!pv_www_authenticate("sip.test", "pw-$fU", "0")) { www_challenge("sip.test", "1"); exit; }
    save("location");
    if (registered("location", "$tu")) xlog("L_ERR", "location: $tU is there\n");
    else xlog("L_ERR", "location: $tU is gone\n");
    exit;
  }
  if (is_method("INVITE")) {
    if (!pv_proxy_authenticate("sip.test", "pw-$fU", "0")) { proxy_challenge("sip.test", "1"); exit; }
    consume_credentials();
    record_route();
  }
  if (!lookup("location")) { sl_send_reply("404","Not Found"); exit; }
  t_relay();
}
`,
  );
  const process = new ServerProcess(
    KAMAILIO,
    [
      '-DD',
      '-E',
      '-f',
      join(folder, 'kamailio.cfg'),
      '-Y',
      join(folder, 'run'),
      '-P',
      join(folder, 'pid'),
      '-w',
      folder,
    ],
    port,
  );
  await process.start();
  return {
    port,
    tlsPort,
    output: () => process.output,
    async restart() {
      await process.stop();
      await process.start();
    },
    async stop() {
      await process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Calls to peers on this machine are allowed. */
export function sipSettings(): SettingsOverrides {
  const media = mediaPorts(GATEWAY_PORTS);
  return {
    sip: true,
    sip_port: 0,
    sip_allow_networks: '127.0.0.0/8',
    sip_allow_ports: '1024-65535',
    media_port_from: media,
    media_port_to: media + GATEWAY_PORTS,
    max_calls_per_callee: 10,
  };
}

/** A gateway that may call peers on this machine. */
export const startSipGateway = (settings: SettingsOverrides = {}): Promise<TestGateway> =>
  startGateway({ ...sipSettings(), destination_allow_networks: '127.0.0.1', ...settings });

/** A call object, or `undefined` if the call is over. */
export async function callOf(
  gateway: TestGateway,
  callId: string,
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as the answers of the gateway
): Promise<any> {
  const { status, body } = await gateway.rest('/call/find', { callId });
  return status === 200 ? body[0] : undefined;
}

/** Waits until the call has the status. */
export const callReached = (gateway: TestGateway, callId: string, status: string, timeout = 30_000): Promise<unknown> =>
  waitFor(
    `call ${callId} is ${status}`,
    async () => {
      const call = await callOf(gateway, callId);
      return call?.status === status ? call : undefined;
    },
    { timeout },
  );

/** Waits until the call is over, and returns it from the list of ended ones. */
export const callOver = (
  gateway: TestGateway,
  callId: string,
  timeout = 30_000,
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as the answers of the gateway
): Promise<any> =>
  waitFor(
    `call ${callId} is over`,
    async () => {
      const { body } = await gateway.http('/api/v1/calls?ended=true');
      return (body as { callId: string }[]).findLast((call) => call.callId === callId);
    },
    { timeout },
  );
