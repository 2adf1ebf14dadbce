import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, mediaPorts, ServerProcess } from './server-process.ts';
import { findSipProgram } from './sip-peers.ts';
import { waitFor } from './wait.ts';
import { toneWav } from './wav.ts';

export const noLinphone = findSipProgram('linphonec')
  ? false
  : 'linphone is not installed: apt-get install linphone-cli mediastreamer2-plugin-openh264';
/** Debian's multi-architecture folders. */
const H264_PLUGIN = ['x86_64', 'aarch64'].map(
  (cpu) => `/usr/lib/${cpu}-linux-gnu/mediastreamer/plugins/libmsopenh264.so`,
);
export const noLinphoneH264 =
  noLinphone ||
  (H264_PLUGIN.some((file) => existsSync(file))
    ? false
    : "linphone's H.264 encoder is not installed: apt-get install mediastreamer2-plugin-openh264");

const AUDIO = { opus: 'rate=48000\nchannels=2', PCMU: 'rate=8000\nchannels=1', PCMA: 'rate=8000\nchannels=1' };
const VIDEO = ['H264', 'VP8'] as const;

export interface LinphoneOptions {
  /** Of the codecs that the gateway knows, it offers and takes only this one. */
  readonly audio: keyof typeof AUDIO;
  /** Default: none. */
  readonly video?: (typeof VIDEO)[number];
  /** Hertz of the tone that it sends. */
  readonly tone?: number;
}

export interface Linphone {
  readonly port: number;
  /** What it hears. It is complete when the call is over. */
  readonly heard: string;
  readonly output: () => string;
  /** A command of its prompt: `call`, `terminate`. */
  command(command: string): Promise<void>;
  stop(): Promise<void>;
}

/** A telephone that answers at once, and sends a tone and a still image. */
export async function startLinphone({ audio, video, tone = 440 }: LinphoneOptions): Promise<Linphone> {
  const folder = await mkdtemp(join(tmpdir(), 'linphone-'));
  const [port, rtp] = [await freePort(), mediaPorts(4)];
  const [config, commands, played, heard] = ['linphonerc', 'commands', 'tone.wav', 'heard.wav'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  // It creates its databases there, but not the folder.
  await mkdir(join(folder, '.local/share/linphone'), { recursive: true });
  await writeFile(played, toneWav(120, tone, 0.5, 16_000));
  await writeFile(
    config,
    `[sip]
sip_port=${port}
sip_tcp_port=0
sip_tls_port=0
bind_address=127.0.0.1
use_ipv6=0
guess_hostname=0
contact=sip:1001@127.0.0.1
[rtp]
bind_address=127.0.0.1
audio_rtp_port=${rtp}
video_rtp_port=${rtp + 2}
[sound]
echocancellation=0
[video]
self_view=0
automatically_initiate=${video ? 1 : 0}
automatically_accept=${video ? 1 : 0}
device=StaticImage: Static picture
${Object.entries(AUDIO)
  .map(([mime, format], i) => `[audio_codec_${i}]\nmime=${mime}\n${format}\nenabled=${mime === audio ? 1 : 0}`)
  .join('\n')}
${VIDEO.map((mime, i) => `[video_codec_${i}]\nmime=${mime}\nrate=90000\nenabled=${mime === video ? 1 : 0}`).join('\n')}
`,
  );
  // Commands come through a FIFO that the shell opens for both directions, so that it never ends.
  const start = 'mkfifo "$1" && exec linphonec $3 -a -c "$2" <>"$1"';
  const process = new ServerProcess(
    'env',
    [`HOME=${folder}`, 'sh', '-c', start, 'sh', commands, config, video ? '-C' : ''],
    port,
    'udp',
  );
  const command = (text: string): Promise<void> => appendFile(commands, `${text}\n`);
  await process.start();
  await command(`play ${played}`);
  await command(`record ${heard}`);
  await command('soundcard use files');
  await waitFor('linphone to use files', () => process.output.includes('Using wav files'));
  return {
    port,
    heard,
    output: () => process.output,
    command,
    async stop() {
      await process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
