import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { spawn } from 'node:child_process';

/** Runs ffmpeg with `input` on stdin. Resolves with its stdout; rejects with its log on any failure or logged error. */
export function ffmpeg(args: readonly string[], input?: Buffer): Promise<Buffer> {
  return run('ffmpeg', ['-hide_banner', '-nostdin', '-loglevel', 'error', ...args], input);
}

/** Decodes a whole file or stream. Rejects if the decoder has anything to say. Frames keep their own times, however close. */
export async function decodeAll(args: readonly string[]): Promise<void> {
  await ffmpeg([...args, '-fps_mode', 'passthrough', '-enc_time_base', '1:1000', '-f', 'null', '-']);
}

/** The requested entries of a file or stream, from ffprobe. */
export async function ffprobe(args: readonly string[], entries: string, input?: Buffer): Promise<unknown> {
  return JSON.parse(
    (
      await run(
        'ffprobe',
        ['-hide_banner', '-loglevel', 'error', ...args, '-show_entries', entries, '-of', 'json'],
        input,
      )
    ).toString(),
  );
}

async function run(tool: string, args: readonly string[], input?: Buffer): Promise<Buffer> {
  const child = spawn(tool, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  const log: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => log.push(chunk));
  child.stdin.on('error', () => {}); // it may close its input early; what matters is its exit code
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  const text = Buffer.concat(log).toString();
  if (code !== 0 || text !== '') throw new Error(`${tool} ${args.join(' ')}: exit code ${code}\n${text}`);
  return Buffer.concat(output);
}

/** One hash per frame of a file or stream, in order, without timestamps: frames that follow each other closely are not dropped. */
export async function frameHashes(args: readonly string[], input?: Buffer): Promise<string[]> {
  const output = await ffmpeg([...args, '-fps_mode', 'passthrough', '-f', 'framemd5', '-'], input);
  const lines = output.toString().split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(',').at(-1)!.trim());
}

/** Lets ffmpeg send RTP to a loopback port and collects the datagrams. */
export async function captureRtp(args: readonly string[]): Promise<Buffer[]> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
  const datagrams: Buffer[] = [];
  socket.on('message', (datagram) => datagrams.push(datagram));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    await ffmpeg([...args, '-f', 'rtp', `rtp://127.0.0.1:${socket.address().port}?pkt_size=1200`]);
    // All datagrams are already in the socket; each event-loop tick delivers one.
    for (let count = -1; count !== datagrams.length;) {
      count = datagrams.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    socket.close();
  }
  return datagrams;
}
