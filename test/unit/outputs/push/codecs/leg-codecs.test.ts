import { EventEmitter } from 'node:events';
import t from 'tap';
import { GatewayError } from '../../../../../src/errors.ts';
import { parseDestination } from '../../../../../src/net/destination.ts';
import { silentLogger } from '../../../../../src/observe/logger.ts';
import {
  chooseCodecs,
  type CodecPair,
  type HostKnowledge,
} from '../../../../../src/outputs/push/codecs/codec-choice.ts';
import { LegCodecs, type CodecRules, type OwnFacts } from '../../../../../src/outputs/push/codecs/leg-codecs.ts';
import { PushMedia } from '../../../../../src/outputs/push/codecs/push-media.ts';
import type { Rendition, RenditionEvents } from '../../../../../src/renditions/rendition.ts';

const destination = parseDestination('rtmp://media.example.com/live', 'show', {
  streamNamePrefix: '',
  fullUrl: false,
});
const format = { silence: Buffer.alloc(1) };
const lost = new GatewayError('DESTINATION_LOST', 'The server closed the connection');
const BOTH = { video: new Set(['av01', 'vp09']), audio: new Set(['Opus']) };
const answer = (codecs: object = {}, failedOnExtras = false) => ({ codecs, failedOnExtras });
const course = (mediaMs: number, takenForMs = mediaMs) => ({ mediaMs, takenForMs, hasBegun: true });

function setUp(facts: Partial<OwnFacts> = {}, host: HostKnowledge = {}) {
  const own: OwnFacts = {
    ...{ video: 'auto', audio: 'auto', otherAudio: 'aac', transcodes: false },
    published: { video: 'av1', audio: 'opus' },
    ...facts,
  };
  const state = { own, host, fallbacks: 0 };
  const opened: string[] = [];
  const released: string[] = [];
  const sourceOf = ({ video, audio }: CodecPair) => ({
    source: {
      lease: {
        rendition: new EventEmitter<RenditionEvents>() as unknown as Rendition,
        release: async () => void released.push(`${video} ${audio}`),
      },
    },
    format,
  });
  const decision = chooseCodecs({ ...own, host, dropped: new Set() });
  const media = new PushMedia({
    pair: decision.pair,
    ...sourceOf(decision.pair),
    open: async (pair) => {
      opened.push(`${pair.video} ${pair.audio}`);
      return sourceOf(pair);
    },
    logger: silentLogger,
  });
  const rules: CodecRules = {
    own: () => state.own,
    platformOf: () => undefined,
    memory: {
      recall: async () => state.host,
      learn: async (_place, change) => void (state.host = change(state.host)),
    },
    watch: () => () => {},
    onFallback: () => state.fallbacks++,
  };
  const codecs = new LegCodecs({ media, rules, decision, destination, logger: silentLogger });
  const begin = async (codecsOfServer: object = {}): Promise<string> => {
    await codecs.extras(destination);
    const { pair } = await codecs.begin(answer(codecsOfServer));
    return `${pair.video} ${pair.audio}`;
  };
  return { codecs, media, state, begin, opened, released };
}

t.test('what the server announces is opened, and what the push began with is closed', async (t) => {
  const { codecs, begin, opened, released, state } = setUp();
  t.equal(await begin(BOTH), 'av1 opus');
  t.strictSame([opened, released], [['av1 opus'], ['h264 aac']]);
  t.equal(codecs.decision.why, 'the server announced av01; the server announced Opus');
  t.strictSame(state.host.announced, ['vp09', 'av01', 'Opus'], 'and it is remembered');
  t.equal(await begin(BOTH), 'av1 opus', 'a reconnect goes on with it');
  t.equal(opened.length, 1);
});

t.test('what is known of the server decides what is announced', async (t) => {
  const { codecs, state } = setUp();
  t.match(await codecs.extras(destination), { capsEx: 1, videoFourCcInfoMap: { av01: 4 } });
  await codecs.begin(answer({}, true));
  t.strictSame(state.host, { failsOnExtras: true });
  t.strictSame(await codecs.extras(destination), {});
  const plain = setUp({ plainBecause: 'rtmp_enhanced is false' });
  t.strictSame(await plain.codecs.extras(destination), {}, 'nothing of Enhanced RTMP');
  const chosen = setUp({ video: 'h264', audio: 'aac' });
  t.strictSame(await chosen.codecs.extras(destination), { capsEx: 1 });
});

t.test(
  'with auto, a server that closes within five seconds gets H.264 and AAC, and is remembered once that lasts',
  async (t) => {
    const { codecs, begin, state } = setUp();
    await begin(BOTH);
    t.equal(codecs.judge(lost, false, course(4000)), 'again');
    t.equal(state.fallbacks, 1);
    t.equal(await begin(BOTH), 'h264 aac');
    codecs.progressed(course(4000));
    t.notOk(state.host.refused, 'not yet: perhaps the server closes in any case');
    codecs.progressed(course(5000));
    t.strictSame(state.host.refused, ['av01', 'Opus']);
    t.strictSame(state.host.announced, ['vp09']);
    t.equal(codecs.judge(lost, false, course(100)), undefined, 'H.264 that is lost is a lost connection');
  },
);

t.test('what a server took for five seconds is taken; a lost connection is then nothing else', async (t) => {
  for (const facts of [{}, { video: 'source', audio: 'source' } as const]) {
    const { codecs, begin } = setUp(facts);
    await begin(BOTH);
    t.equal(codecs.judge(lost, false, course(5000)), undefined);
    codecs.progressed(course(5000));
    await begin(BOTH);
    t.equal(codecs.judge(lost, false, course(100)), undefined);
  }
});

t.test('not every early end is about codecs', async (t) => {
  const { codecs, begin } = setUp();
  await begin(BOTH);
  t.equal(codecs.judge(lost, true, course(100)), undefined, 'the name is in use');
  t.equal(codecs.judge(lost, false, { ...course(0), hasBegun: false }), undefined, 'nothing was sent');
});

t.test('a server that takes nothing after the header counts as one that closes', async (t) => {
  const stalled = new GatewayError('DESTINATION_STALLED', 'The server has taken nothing for 10 s');
  const { codecs, begin } = setUp();
  await begin(BOTH);
  t.equal(codecs.judge(stalled, false, course(12_000, 7000)), undefined, 'it took media for long enough');
  t.equal(codecs.judge(stalled, false, course(12_000, 1000)), 'again');
  const source = setUp({ video: 'source', audio: 'aac' });
  await source.begin({});
  t.match(source.codecs.judge(stalled, false, course(12_000, 0)), {
    code: 'DESTINATION_STALLED',
    message: /AV1 \(av01\)/,
  });
});

t.test('with source, the reason names the codec; tracks with auto fall back first', async (t) => {
  const both = setUp({ video: 'source', audio: 'source' });
  t.equal(await both.begin({}), 'av1 opus');
  const error = both.codecs.judge(lost, false, course(1200)) as GatewayError;
  t.equal(error.code, 'DESTINATION_REFUSED');
  t.notOk(error.retryable);
  t.match(error.message, /does not take AV1 \(av01\) and Opus \(Opus\): it closed the connection 1\.2 s after/);

  const mixed = setUp({ video: 'source' });
  await mixed.begin({ audio: new Set(['Opus']) });
  t.equal(mixed.codecs.judge(lost, false, course(100)), 'again');
  t.equal(await mixed.begin({ audio: new Set(['Opus']) }), 'av1 aac');
  t.match(mixed.codecs.judge(lost, false, course(100)), { code: 'DESTINATION_REFUSED', message: /take AV1 \(av01\):/ });

  const refused = setUp({ video: 'source' });
  await t.rejects(refused.begin({ video: new Set(['vp09']) }), { code: 'DESTINATION_REFUSED', message: /av01/ });
});

t.test('another publisher may need another pair', async (t) => {
  const { codecs, begin, state } = setUp();
  t.notOk(codecs.isOutdated);
  await begin(BOTH);
  t.notOk(codecs.isOutdated);
  state.own = { ...state.own, published: { video: 'vp8', audio: 'pcmu' } };
  t.ok(codecs.isOutdated);
  t.equal(await begin(BOTH), 'h264 aac');
  t.notOk(codecs.isOutdated);
  codecs.end();
  t.notOk(codecs.isOutdated);
});
