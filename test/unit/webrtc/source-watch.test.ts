import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { SourceWatch, watchSources } from '../../../src/webrtc/source-watch.ts';
import { waitFor } from '../../helpers/wait.ts';

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
  /** Nothing reads the track. */
  readonly isUnread?: boolean;
  /** What the worker drops, of all sessions: SSRCs and payload types. */
  readonly unknown?: readonly (readonly [ssrc: number, payloadType: number])[];
  /** The SSRC with which packets come. */
  readonly rightSsrc?: number;
  /** Of the other track. */
  readonly otherType?: number;
  readonly hasData?: boolean;
}

const codecOf = (payloadType: number) => ({ mimeType: 'video/VP8', payloadType, clockRate: 90_000 });

/** What the last session was reported for. */
const reports: (string | undefined)[] = [];
/** Surveys for it. */
let surveys = 0;

/** What happens to a session whose video has stopped, in so many polls. */
async function watch(
  {
    mid = false,
    unmatched = 20_000,
    packets = 100,
    packetsAfter = 0,
    silentMs = 1000,
    isUnread = false,
    unknown = [],
    rightSsrc,
    otherType = 111,
    hasData = false,
  }: Setting,
  polls = 50,
) {
  const seen: string[] = [];
  reports.length = 0;
  surveys = 0;
  let bytesReceived = 1e6;
  let nowMs = 0;
  let packetCount = packets;
  let isRight = false;
  const track = {
    kind: 'video' as const,
    producer: { type: 'simple' as const, rtpParameters: { codecs: [codecOf(96)], headerExtensions: mid ? [MID] : [] } },
    silentMs: () => (isUnread ? undefined : isRight ? 20 : silentMs),
    packetCount: () => Promise.resolve(packetCount),
    reopen: (form: object) => {
      isRight = 'ssrc' in form && form.ssrc === rightSsrc;
      packetCount = isRight ? 100 : packetsAfter;
      seen.push(`reopened ${JSON.stringify(form)}`);
      return Promise.resolve();
    },
  };
  const options = {
    tracks: [
      track,
      { ...track, producer: { type: 'simple' as const, rtpParameters: { codecs: [codecOf(otherType)] } } },
    ],
    onUnmatched: (_: string, problem: { message: string } | undefined) => reports.push(problem?.message),
    survey: async () => {
      surveys++;
      return unknown.map(([ssrc, payloadType]) => ({ ssrc, payloadType }));
    },
    transport: {
      getStats: () => {
        bytesReceived += unmatched;
        return Promise.resolve([{ bytesReceived, rtpBytesReceived: 9e5, rtxBytesReceived: 0 }]);
      },
    },
    onLost: ({ code, message }: { readonly code: string; readonly message: string }) => seen.push(`${code} ${message}`),
    hasData,
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
  t.match(await watch({}, 6), ['reopened {"anySsrc":true}', /PUBLISHER_LOST The video packets have an SSRC/]);
});

t.test('without MID, the payload type tells the track, at the beginning and after a change', async (t) => {
  for (const packets of [0, 100]) {
    const unknown = [
      [7, 111],
      [8, 96],
      [9, 96],
    ] as const;
    const right = ['reopened {"anySsrc":false,"ssrc":8}', 'reopened {"anySsrc":false,"ssrc":9}'];
    t.strictSame(await watch({ packets, unknown, rightSsrc: 9 }), right, 'of another session first');
    t.strictSame(await watch({ packets, unknown, rightSsrc: 9, mid: true }), ['reopened {"anySsrc":true}', ...right]);
  }
  const unread = await watch({ packets: 0, isUnread: true, unknown: [[9, 96]], rightSsrc: 9 });
  t.strictSame(unread, ['reopened {"anySsrc":false,"ssrc":9}'], 'a track that is not read yet');
  t.strictSame(await watch({ isUnread: true, unknown: [[9, 96]] }), [], 'it has begun');
});

t.test('payload types that tell nothing: ended if the track has changed, left alone if it never began', async (t) => {
  for (const setting of [{ unknown: [[9, 97]] }, { unknown: [[9, 96]], otherType: 96 }, {}] as const) {
    t.strictSame(await watch({ ...setting, packets: 0 }), ['reopened {"anySsrc":true}']);
    t.equal(reports.length, 1, 'reported once');
    t.match(reports[0], /^No video arrives, .* payload types are (unknown|9[67]), agreed were video 96, /);
    t.match((await watch(setting, 6)).at(-1), /PUBLISHER_LOST/);
  }
  const many = Array.from({ length: 100 }, (_, ssrc) => [ssrc, 96] as const);
  t.equal((await watch({ packets: 0, unknown: many }, 200)).length, 8 + 1, 'tries are bounded');
});

t.test('a camera that is paused, a track that never began, and packets that flow', async (t) => {
  for (const setting of [{ unmatched: 100 }, { packets: 0, unmatched: 100 }, { silentMs: 20 }])
    t.strictSame(await watch(setting), [], JSON.stringify(setting));
});

t.test('bytes of data channels are not taken for packets, and surveys that find nothing are rare', async (t) => {
  for (const setting of [{}, { mid: true }, { packets: 0 }]) {
    t.strictSame(await watch({ ...setting, hasData: true }, 80), [], JSON.stringify(setting));
    t.strictSame(reports, []);
    t.ok(surveys > 1 && surveys <= 10, `${surveys} surveys in 20 s`);
  }
});

t.test('with data channels, packets of no track are named and taken, but never end the session', async (t) => {
  for (const packets of [0, 100]) {
    await watch({ hasData: true, packets, unknown: [[9, 97]] });
    t.equal(reports.length, 1, 'reported once');
    t.match(reports[0], /^No video arrives, .* payload types are 97, agreed were video 96, /);
    const taken = await watch({ hasData: true, packets, unknown: [[9, 96]], rightSsrc: 9 });
    t.strictSame(taken, ['reopened {"anySsrc":false,"ssrc":9}']);
  }
  t.strictSame(await watch({ hasData: true, unknown: [[9, 97]] }), [], 'a track that may have paused keeps its SSRC');
  t.strictSame(await watch({ hasData: true, mid: true, unknown: [[9, 97]] }), ['reopened {"anySsrc":true}']);
});

t.test('sessions with data channels are watched, and stopping twice does nothing', async (t) => {
  let bytesReceived = 0;
  let asked = false;
  const stop = watchSources({
    tracks: [
      {
        kind: 'video',
        producer: { type: 'simple', rtpParameters: { codecs: [codecOf(96)] } },
        silentMs: () => 1000,
        packetCount: async () => 0,
        reopen: async () => void t.fail('reopened'),
      },
    ],
    transport: {
      getStats: async () => [{ bytesReceived: (bytesReceived += 20_000), rtpBytesReceived: 0, rtxBytesReceived: 0 }],
    },
    survey: async () => {
      asked = true;
      return [];
    },
    onUnmatched: () => t.fail('reported'),
    onLost: () => t.fail('lost'),
    hasData: true,
    logger: silentLogger,
  });
  t.ok(await waitFor('a survey', () => asked));
  stop();
  stop();
});
