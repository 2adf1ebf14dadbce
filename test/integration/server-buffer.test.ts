import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import { parseDestination } from '../../src/net/destination.ts';
import { OutputQueue } from '../../src/outputs/output-queue.ts';
import { createFlvTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recordingOf } from '../helpers/recording.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(90_000);

/** Bytes that the proxy reads at once, and the interval in milliseconds: 40 Mbit/s in pieces much smaller than a frame. */
const DRIP_BYTES = 25_000;
const DRIP_EVERY = 5;

/** A TCP proxy that reads little at a time, so that the sender's socket is full all the time. */
async function startNarrowWay(target: number): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  // Half open: the sender's connection ends after the server has read everything and closed its own, not when the last piece is sent.
  const server = createServer({ highWaterMark: DRIP_BYTES, allowHalfOpen: true }, (client) => {
    const server = connect(target, '127.0.0.1');
    for (const socket of [client, server]) sockets.add(socket.on('error', () => undefined));
    server.pipe(client);
    const drip = setInterval(() => {
      const chunk = (client.read(DRIP_BYTES) ?? client.read()) as Buffer | null;
      if (chunk) server.write(chunk);
    }, DRIP_EVERY);
    client.pause();
    client.once('end', () => server.end());
    server.once('close', () => (clearInterval(drip), client.destroy()));
    client.once('close', () => (clearInterval(drip), server.end()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

t.test('rtmp.server_buffer_enabled: 4K frames through a full socket arrive whole', async (t) => {
  const nginx = await startNginxRtmp();
  t.teardown(() => nginx.stop());
  const way = await startNarrowWay(nginx.port);
  t.teardown(() => way.close());
  const tags = await createFlvTags({ seconds: 1, size: '3840x2160', videoBitrate: '30M' });
  t.ok(
    Math.max(...tags.map(({ data }) => data.length)) > 10 * DRIP_BYTES,
    'frames are far larger than what the socket takes at once',
  );

  const pusher = createRtmpPusher({ serverBuffer: true })({
    destination: parseDestination(`rtmp://127.0.0.1:${way.port}/live`, 'large', {
      streamNamePrefix: '',
      fullUrl: false,
    }),
    addresses: ['127.0.0.1'],
    flashVersion: 'FMLE/3.0',
    stallTimeoutMs: 10_000,
  });
  t.teardown(() => pusher.close());
  await once(pusher, 'ready');
  const buffer = new OutputQueue(
    { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
    pusher,
    () => t.fail('nothing is to be dropped'),
  );
  let full = 0;
  pusher.on('drain', () => buffer.pump(0));
  for (const tag of tags) {
    buffer.push(new TagGroup([tag]), 0);
    if (!pusher.writable) full++;
  }
  t.ok(full > 0, `the connection was full ${full} times`);
  await waitFor('all to be sent', async () => buffer.bytes === 0 && pusher.backlog < 400_000, { timeout: 30_000 });
  await pusher.close();
  t.equal(buffer.framesDropped, 0);

  const recording = await analyse(recordingOf(nginx, 'large'));
  const frames = tags.filter(({ type, sequenceHeader }) => type === TAG_VIDEO && !sequenceHeader).length;
  t.strictSame(recording.decodeErrors, []);
  t.equal(recording.video.count, frames);
  t.equal(recording.frames.length, frames);
  t.match(recording.frames.at(-1), { width: 3840, height: 2160 });
});
