import t from 'tap';
import { parseBody } from '../../../src/api/wcs/parse-body.ts';
import { StartSchema } from '../../../src/api/wcs/schemas.ts';
import { readStreamName } from '../../../src/api/whip/whip-requests.ts';
import { PublishStreamSchema } from '../../../src/signaling/messages.ts';
import { isStreamName } from '../../../src/streams/stream-name.ts';

const GOOD = ['x', ' ', 'Stream 1', 'камера', 'a/b?c=d', '😀'.repeat(128), 'x'.repeat(256)];
const BAD = ['', 'x'.repeat(257), 'a\nb', 'a\u0000', 'a\u007f', 'a\u0085b', 'a\u2028b'];

/** Whether each door takes the name. */
const DOORS: Record<string, (name: string) => unknown> = {
  WebSocket: (name) => PublishStreamSchema.parse({ mediaSessionId: 'id', sdp: '', name }),
  WHIP: (stream) => readStreamName({ params: { stream } } as never),
  REST: (streamName) => parseBody(StartSchema, { streamName, rtmpUrl: 'rtmp://a.example/live' }),
};

t.test('the same names at every door', async (t) => {
  for (const [door, take] of Object.entries(DOORS)) {
    for (const name of GOOD) t.doesNotThrow(() => take(name), `${door}: ${name.slice(0, 20)}`);
    for (const name of BAD) t.throws(() => take(name), `${door}: ${encodeURIComponent(name.slice(0, 20))}`);
  }
  t.ok(GOOD.every(isStreamName));
  t.notOk(BAD.some(isStreamName));
});
