import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNginxRtmp, type NginxRtmp } from '../test/helpers/nginx-rtmp.ts';
import { freePort, ServerProcess } from '../test/helpers/server-process.ts';
import { BenchError } from './bench-error.ts';
import type { Groups } from './measure.ts';
import { AUDIO_TYPE, VIDEO_TYPE, type JanusTarget } from './publisher.ts';

const JANUS = '/usr/bin/janus';
const PLUGIN = 'videoroom';
const TRANSPORT = 'websockets';
const OTHER_PLUGINS = [
  'audiobridge',
  'duktape',
  'echotest',
  'lua',
  'nosip',
  'recordplay',
  'sip',
  'streaming',
  'textroom',
  'videocall',
  'voicemail',
];
const OTHER_TRANSPORTS = ['http', 'mqtt', 'nanomsg', 'pfunix', 'rabbitmq'];
/** All ports are free in a network of our own. ffmpeg takes the one after each RTP port for RTCP. */
const FIRST_RTP_PORT = 20_000;
const PORTS_PER_STREAM = 4;
const library = (name: string): string => `libjanus_${name}.so`;

/** As `src/ffmpeg/ffmpeg-args.ts` asks for it. */
const FAST_CODER = ['-aac_coder', 'fast', '-aac_pns', '0', '-aac_is', '0', '-aac_tns', '0'];

export interface JanusStackOptions {
  /** Of the RTMP server that everything is pushed to. */
  readonly sinkPort: number;
  /** Whether its ffmpeg uses the fast AAC coder instead of the default one. */
  readonly fastCoder: boolean;
}

/**
 * The alternative to this gateway: Janus receives WebRTC and forwards its packets, an ffmpeg for each stream copies the video and encodes the audio with its
 * default coder, and nginx-rtmp pushes to several destinations. An ffmpeg that writes to ten by itself (`-f tee`) needs three times the CPU.
 */
export class JanusStack {
  readonly #folder: string;
  readonly #server: ServerProcess;
  readonly #port: number;
  readonly #sinkPort: number;
  readonly #fastCoder: boolean;
  #relay: NginxRtmp | undefined;
  readonly #pushers = new Map<string, { readonly target: JanusTarget; child: ChildProcess | undefined }>();

  private constructor(folder: string, server: ServerProcess, port: number, { sinkPort, fastCoder }: JanusStackOptions) {
    this.#folder = folder;
    this.#server = server;
    this.#port = port;
    this.#sinkPort = sinkPort;
    this.#fastCoder = fastCoder;
  }

  /** @throws {BenchError} that says how to install Janus, where it is missing */
  static async start(options: JanusStackOptions): Promise<JanusStack> {
    if (!existsSync(JANUS))
      throw new BenchError('Janus is not installed. Type: apt-get install --no-install-recommends janus');
    const folder = await mkdtemp(join(tmpdir(), 'janus-'));
    const port = await freePort();
    const settings = {
      'janus.jcfg': `general: { debug_level = 2; session_timeout = 0 }
nat: { ice_enforce_list = "127.0.0.1"; ignore_mdns = true }
media: { ipv6 = false }
plugins: { disable = "${OTHER_PLUGINS.map(library).join()}" }
transports: { disable = "${OTHER_TRANSPORTS.map(library).join()}" }
`,
      [`janus.transport.${TRANSPORT}.jcfg`]: `general: { ws = true; ws_port = ${port}; ws_ip = "127.0.0.1"; wss = false }\nadmin: { admin_ws = false; admin_wss = false }\n`,
      [`janus.plugin.${PLUGIN}.jcfg`]: 'general: { }\n',
    };
    await Promise.all(Object.entries(settings).map(([name, text]) => writeFile(join(folder, name), text)));
    const server = new ServerProcess(JANUS, ['-F', folder], port);
    await server.start();
    return new JanusStack(folder, server, port, options);
  }

  get groups(): Groups {
    return {
      janus: [this.#server.pid],
      ffmpeg: [...this.#pushers.values()].flatMap(({ child }) => child?.pid ?? []),
      relay: this.#relay ? [this.#relay.pid] : [],
    };
  }

  /** The target of a publisher. */
  target(name: string): JanusTarget {
    const audioPort = FIRST_RTP_PORT + this.#pushers.size * PORTS_PER_STREAM;
    const target = { name, url: `ws://127.0.0.1:${this.#port}`, audioPort, videoPort: audioPort + 2 };
    this.#pushers.set(name, { target, child: undefined });
    return target;
  }

  /** Pushes each stream to exactly this number of destinations. */
  async push(destinationsEach: number): Promise<void> {
    await this.#relay?.stop();
    this.#relay = undefined;
    if (destinationsEach > 1) {
      const pushes = Array.from({ length: destinationsEach }, (_, copy) => `push ${this.#sink(copy)};`);
      this.#relay = await startNginxRtmp({ record: false, applicationDirectives: pushes.join(' ') });
    }
    for (const name of this.#pushers.keys())
      await this.#publish(name, `${this.#relay?.rtmpUrl ?? this.#sink(0)}/${name}`);
  }

  #sink(copy: number): string {
    return `rtmp://127.0.0.1:${this.#sinkPort}/copy${copy}`;
  }

  async #publish(name: string, rtmpUrl: string): Promise<void> {
    const pusher = this.#pushers.get(name)!;
    pusher.child?.kill('SIGKILL');
    const { audioPort, videoPort } = pusher.target;
    const sdp = join(this.#folder, `${name}.sdp`);
    await writeFile(
      sdp,
      [
        'v=0',
        'o=- 0 0 IN IP4 127.0.0.1',
        's=-',
        'c=IN IP4 127.0.0.1',
        't=0 0',
        `m=audio ${audioPort} RTP/AVP ${AUDIO_TYPE}`,
        `a=rtpmap:${AUDIO_TYPE} opus/48000/2`,
        `m=video ${videoPort} RTP/AVP ${VIDEO_TYPE}`,
        `a=rtpmap:${VIDEO_TYPE} H264/90000`,
        `a=fmtp:${VIDEO_TYPE} packetization-mode=1`,
        '',
      ].join('\r\n'),
    );
    pusher.child = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'ffmpeg',
        '-hide_banner',
        '-loglevel',
        'fatal',
        '-nostdin',
        '-protocol_whitelist',
        'file,udp,rtp',
        '-i',
        sdp,
        '-map',
        '0:v',
        '-map',
        '0:a',
        '-c:v',
        'copy',
        '-c:a',
        'aac',
        ...(this.#fastCoder ? FAST_CODER : []),
        '-b:a',
        '128k',
        '-f',
        'flv',
        rtmpUrl,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
  }

  async close(): Promise<void> {
    for (const { child } of this.#pushers.values()) child?.kill('SIGKILL');
    await this.#relay?.stop();
    await this.#server.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
