import t from 'tap';
import { takeUnknownPacket, UnknownPackets } from '../../../src/webrtc/unknown-packets.ts';

const line = (pid: number, ssrc: number, payloadType: number): string =>
  `[pid:${pid}] RTC::Transport::ReceiveRtpPacket() | no suitable Producer for received RTP packet [ssrc:${ssrc}, payloadType:${payloadType}]`;

t.test('the log is switched on for a moment, and tells one packet of each source of this worker', async (t) => {
  const settings: unknown[] = [];
  const worker = {
    pid: 7,
    updateSettings: async ({ logTags }: { logTags?: unknown } = {}) => void settings.push(logTags),
  };
  const waited = Promise.withResolvers<void>();
  const packets = new UnknownPackets(worker, () => waited.promise);
  t.ok(takeUnknownPacket(line(7, 1, 96)), 'too early');
  const surveys = Promise.all([packets.survey(), packets.survey()]);
  await new Promise(setImmediate);
  for (const [pid, ssrc, payloadType] of [
    [7, 2, 96],
    [7, 2, 96],
    [8, 3, 96],
    [7, 0xffffffff, 111],
  ] as const)
    t.ok(takeUnknownPacket(line(pid, ssrc, payloadType)));
  t.notOk(takeUnknownPacket('[pid:7] RTC::Transport::ReceiveRtpPacket() | another warning'));
  waited.resolve();
  const [one, other] = await surveys;
  t.strictSame(one, [
    { ssrc: 2, payloadType: 96 },
    { ssrc: 0xffffffff, payloadType: 111 },
  ]);
  t.equal(one, other);
  t.strictSame(settings, [['rtp'], []]);
});

t.test('it ends early when there are many lines', async (t) => {
  const packets = new UnknownPackets({ pid: 7, updateSettings: async () => {} }, () => new Promise(() => {}));
  const survey = packets.survey();
  await new Promise(setImmediate);
  for (let count = 0; count < 64; count++) takeUnknownPacket(line(7, 5, 96));
  t.strictSame(await survey, [{ ssrc: 5, payloadType: 96 }]);
});

t.test('it lasts longer where nothing was found, four times at most', async (t) => {
  const surveyed = async (arrivesAt: number) => {
    let looks = 0;
    const worker = { pid: 7, updateSettings: async () => {} };
    const packets = new UnknownPackets(worker, async () => {
      if (++looks === arrivesAt) takeUnknownPacket(line(7, 5, 97));
    });
    return { found: await packets.survey(), looks };
  };
  t.strictSame(await surveyed(1), { found: [{ ssrc: 5, payloadType: 97 }], looks: 1 });
  t.strictSame(await surveyed(3), { found: [{ ssrc: 5, payloadType: 97 }], looks: 3 });
  t.strictSame(await surveyed(0), { found: [], looks: 4 });
});
