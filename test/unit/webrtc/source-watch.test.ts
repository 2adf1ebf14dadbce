import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { SourceWatch, watchSources } from '../../../src/webrtc/source-watch.ts';

const MID = { uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 4 } as const;

interface Setting {
  readonly mid?: boolean;
  /** Bytes with each poll that belong to no track. */
  readonly unmatched?: number;
  /** Packets of the track that have arrived. */
  readonly packets?: number;
  /** Those that arrive after it is opened again. */
  readonly packetsAfter?: number;
  readonly silentMs?: number;
}

/** What happens to a session whose video has stopped, in so many polls. */
async function watch(
  { mid = false, unmatched = 20_000, packets = 100, packetsAfter = 0, silentMs = 1000 }: Setting,
  polls = 50,
) {
  const seen: string[] = [];
  let bytesReceived = 1e6;
  let nowMs = 0;
  let packetCount = packets;
  const track = {
    kind: 'video' as const,
    producer: { type: 'simple' as const, rtpParameters: { codecs: [], headerExtensions: mid ? [MID] : [] } },
    silentMs: () => silentMs,
    packetCount: () => Promise.resolve(packetCount),
    reopen: (form: object) => {
      packetCount = packetsAfter;
      seen.push(`reopened ${JSON.stringify(form)}`);
      return Promise.resolve();
    },
  };
  const options = {
    tracks: [track],
    transport: {
      getStats: () => {
        bytesReceived += unmatched;
        return Promise.resolve([{ bytesReceived, rtpBytesReceived: 9e5, rtxBytesReceived: 0 }]);
      },
    },
    onLost: ({ code, message }: { readonly code: string; readonly message: string }) => seen.push(`${code} ${message}`),
    hasData: false,
    logger: silentLogger,
    now: () => nowMs,
  };
  const source = new SourceWatch(track, options);
  for (let i = 0; i < polls; i++) {
    nowMs += 250;
    source.poll();
    await new Promise(setImmediate);
  }
  return seen;
}

t.test('with MID, a track of another SSRC is opened again; where that does not help, the session ends', async (t) => {
  t.strictSame(await watch({ mid: true }, 3), ['reopened {"anySsrc":true}']);
  t.match((await watch({ mid: true }, 6))[1], /PUBLISHER_LOST The video packets have an SSRC/);
});

t.test('with MID, a track may change often', async (t) => {
  const seen = await watch({ mid: true, packetsAfter: 10 }, 9);
  t.strictSame(seen, Array(3).fill('reopened {"anySsrc":true}'));
});

t.test('without MID, the session ends with a reason', async (t) => {
  t.match(await watch({}, 4), [/PUBLISHER_LOST The video packets have an SSRC/]);
});

t.test('a camera that is paused, a track that never began, and packets that flow', async (t) => {
  for (const setting of [{ unmatched: 100 }, { packets: 0 }, { silentMs: 20 }])
    t.strictSame(await watch(setting), [], JSON.stringify(setting));
});

t.test('sessions with data channels are not watched, and stopping twice does nothing', async (t) => {
  const stop = watchSources({
    tracks: [],
    transport: { getStats: () => Promise.resolve([]) },
    onLost: () => t.fail('lost'),
    hasData: true,
    logger: silentLogger,
  });
  stop();
  stop();
});
