import fc from 'fast-check';
import t from 'tap';
import { MediaClock, type TrackKind } from '../../../../src/media/rtp/media-clock.ts';
import { RATES, Simulation, plain } from '../../../helpers/media-simulation.ts';

t.test('begins near 0, and tracks are placed by arrival before there are reports', async (t) => {
  const simulation = new Simulation({ ...plain, firstReportMs: { audio: Infinity, video: Infinity } });
  simulation.run(1000);
  t.ok(simulation.monotonic);
  t.ok(Math.abs(simulation.offset.audio) < 60, `audio offset ${simulation.offset.audio}`);
  t.ok(Math.abs(simulation.skewMs - 50) < 1, 'without reports the difference of the delays remains');
});

t.test('reports of both tracks remove the skew by slewing', async (t) => {
  const simulation = new Simulation(plain);
  simulation.run(2300);
  t.ok(simulation.skewMs > 45);
  simulation.run(10_000);
  t.ok(simulation.skewMs < 0.01, `skew ${simulation.skewMs}`);
  t.ok(simulation.largestJumpMs.audio < 1, `step of the sound ${simulation.largestJumpMs.audio}`);
  t.ok(simulation.largestJumpMs.video < 7, `step of the frame ${simulation.largestJumpMs.video}`);
});

t.test('a first packet that was delayed by 300 ms disturbs lip sync only briefly', async (t) => {
  for (const kind of ['audio', 'video'] as const) {
    const simulation = new Simulation({
      ...plain,
      delayMs: { audio: 20, video: 20 },
      heldUpMs: { audio: 0, video: 0, [kind]: 300 },
    });
    simulation.run(1500);
    t.ok(simulation.skewMs < 60, `${kind}: skew ${simulation.skewMs}`);
    t.ok(simulation.monotonic);
  }
});

t.test('any clocks, networks and initial timestamps', async (t) => {
  const sources = fc.record({
    ntpOffsetMs: fc.double({ min: -4e12, max: 4e12, noNaN: true }),
    ntpDrift: fc.double({ min: -3e-4, max: 3e-4, noNaN: true }),
    rtpDrift: fc.record({
      audio: fc.double({ min: -1e-4, max: 1e-4, noNaN: true }),
      video: fc.double({ min: -1e-4, max: 1e-4, noNaN: true }),
    }),
    rtpStart: fc.record({
      audio: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      video: fc.oneof(fc.constant(2 ** 32 - 90_000), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    }),
    delayMs: fc.record({ audio: fc.integer({ min: 0, max: 500 }), video: fc.integer({ min: 0, max: 500 }) }),
    jitterMs: fc.integer({ min: 0, max: 200 }),
    reportNoiseMs: fc.integer({ min: 0, max: 2 }),
    firstReportMs: fc.record({ audio: fc.integer({ min: 0, max: 5000 }), video: fc.integer({ min: 0, max: 5000 }) }),
  });
  fc.assert(
    fc.property(sources, fc.nat(), (source, seed) => {
      const simulation = new Simulation(source, seed);
      simulation.run(60_000);
      if (!simulation.monotonic) throw new Error('went back');
      if (simulation.skewMs > 5) throw new Error(`skew ${simulation.skewMs}`);
      const { audio, video } = simulation.largestJumpMs;
      if (audio > 200 * 0.02 + 2 || video > 200 * 0.2 + 2)
        throw new Error(`step ${audio} of the sound, ${video} of the frame`);
    }),
    { numRuns: 40 },
  );
});

t.test('follows the local clock when the publisher’s clock drifts', async (t) => {
  const simulation = new Simulation({ ...plain, ntpDrift: 2e-4, jitterMs: 30 });
  simulation.run(600_000);
  // 0.02 % of ten minutes are 120 ms.
  t.ok(Math.abs(simulation.offset.audio) < 80, `offset ${simulation.offset.audio}`);
  t.ok(simulation.skewMs < 5, `skew ${simulation.skewMs}`);
});

t.test('a step of the publisher’s wall clock', async (t) => {
  for (const step of [3_600_000, -3_600_000, 700, -700]) {
    const simulation = new Simulation({ ...plain });
    simulation.run(20_000);
    const before = simulation.offset.video;
    simulation.source.ntpOffsetMs += step;
    simulation.run(40_000);
    t.ok(simulation.monotonic);
    t.ok(simulation.skewMs < 5, `step ${step}: skew ${simulation.skewMs}`);
    t.ok(
      Math.abs(simulation.offset.video - before) < 100,
      `step ${step}: moved by ${simulation.offset.video - before}`,
    );
  }
});

t.test(
  'the publisher’s wall clock is set back, which one track reports seconds before the other: nothing moves',
  async (t) => {
    for (const firstReportMs of [
      { audio: 2400, video: 400 },
      { audio: 400, video: 2400 },
    ]) {
      for (const step of [-60, -300, -500, -700, -1500, -3_600_000]) {
        const simulation = new Simulation({ ...plain, firstReportMs, jitterMs: 20, reportNoiseMs: 2 });
        simulation.run(20_000);
        const before = { ...simulation.offset };
        simulation.source.ntpOffsetMs += step;
        for (let untilMs = 20_500; untilMs <= 40_000; untilMs += 500) {
          simulation.run(untilMs);
          const movedMs = Math.max(
            Math.abs(simulation.offset.audio - before.audio),
            Math.abs(simulation.offset.video - before.video),
          );
          if (movedMs > 10) return t.fail(`step ${step}, at ${untilMs}: moved by ${movedMs}`);
        }
      }
    }
  },
);

t.test('the network becomes faster and a track loses media while it follows: lip sync is kept', async (t) => {
  for (const kind of ['audio', 'video'] as const) {
    const simulation = new Simulation({
      ...plain,
      rtpStart: { ...plain.rtpStart },
      delayMs: { audio: 640, video: 640 },
      jitterMs: 60,
      reportNoiseMs: 2,
    });
    simulation.run(30_000);
    simulation.source.delayMs = { audio: 40, video: 40 };
    simulation.source.rtpStart[kind] -= 100 * (RATES[kind] / 1000);
    // A report arrives every 5 s, and 600 ms take 30 s.
    for (let untilMs = 37_000; untilMs <= 80_000; untilMs += 500) {
      simulation.run(untilMs);
      if (simulation.skewMs > 10) return t.fail(`${kind}, at ${untilMs}: skew ${simulation.skewMs}`);
    }
    t.ok(simulation.offset.video < 70, `followed to ${simulation.offset.video}`);
  }
});

t.test('timestamps that jump forwards by less than a second: the next report moves only that track', async (t) => {
  for (const kind of ['audio', 'video'] as const) {
    for (const leapMs of [60, 300, 700]) {
      const simulation = new Simulation({ ...plain, rtpStart: { ...plain.rtpStart }, jitterMs: 20, reportNoiseMs: 2 });
      simulation.run(20_000);
      simulation.source.rtpStart[kind] += leapMs * (RATES[kind] / 1000);
      // A report arrives every 5 s; then audio follows by 2 %, and video by 20 %.
      simulation.run(26_000 + leapMs / (kind === 'audio' ? 0.02 : 0.2));
      for (let untilMs = simulation.last.video; untilMs <= 80_000; untilMs += 500) {
        simulation.run(untilMs);
        if (simulation.skewMs > 10) return t.fail(`${kind} by ${leapMs} ms, at ${untilMs}: skew ${simulation.skewMs}`);
      }
    }
  }
});

t.test('lip sync is kept when the network delay grows or shrinks', async (t) => {
  for (const [from, to, jitterMs] of [
    [100, 40, 3],
    [340, 40, 3],
    [640, 40, 60],
    [40, 340, 3],
    [40, 640, 3],
    [40, 1240, 3],
  ] as const) {
    const simulation = new Simulation({ ...plain, delayMs: { audio: from, video: from }, jitterMs });
    simulation.run(30_000);
    const before = simulation.offset.audio;
    for (let untilMs = 30_100; untilMs <= 120_000; untilMs += 100) {
      const delayMs = from + (to - from) * Math.min(1, (untilMs - 30_000) / 1000);
      simulation.source.delayMs = { audio: delayMs, video: delayMs };
      simulation.run(untilMs);
      if (simulation.skewMs > 5) return t.fail(`from ${from} to ${to} ms, at ${untilMs}: skew ${simulation.skewMs}`);
    }
    t.ok(simulation.monotonic);
    t.ok(Math.max(simulation.largestJumpMs.audio, simulation.largestJumpMs.video) < 8, 'in small steps');
    t.ok(
      Math.abs(simulation.offset.audio - before - (to - from)) < 10,
      `followed by ${simulation.offset.audio - before}`,
    );
  }
});

t.test(
  'a start or a return during a stall: delayed packets arrive at once, and both tracks are placed correctly',
  async (t) => {
    for (const stallMs of [200, 900, 2500]) {
      const clock = new MediaClock();
      const tracks = { audio: clock.track('audio', RATES.audio), video: clock.track('video', RATES.video) };
      const last = { audio: 0, video: 0 };
      for (const startMs of [0, 20_000]) {
        if (startMs > 0) clock.resume(startMs);
        for (let captureMs = 0; captureMs < stallMs + 500; captureMs += 20) {
          const nowMs = startMs + Math.max(captureMs, stallMs);
          for (const kind of ['video', 'audio'] as const) {
            const rtpTimestamp = 7 + captureMs * (RATES[kind] / 1000);
            tracks[kind].arrival(rtpTimestamp, nowMs);
            const streamMs = tracks[kind].toStreamMs(rtpTimestamp);
            if (streamMs < last[kind]) return t.fail(`${kind} went back`);
            last[kind] = streamMs;
            if (streamMs - clock.at(nowMs) > 80)
              return t.fail(
                `stall of ${stallMs} ms: ${kind} of ${captureMs} ms is ${streamMs - clock.at(nowMs)} ms ahead`,
              );
          }
        }
        t.ok(Math.abs(last.audio - last.video) < 60, `${last.audio} and ${last.video}`);
      }
    }
  },
);

t.test(
  'audio that the publisher lost, as browsers do on a busy machine: the next report corrects it, and video does not move',
  async (t) => {
    for (const lostMs of [60, 150, 400]) {
      const simulation = new Simulation({ ...plain, rtpStart: { ...plain.rtpStart }, jitterMs: 20, reportNoiseMs: 2 });
      simulation.run(21_000);
      const before = { ...simulation.offset };
      // Timestamps count existing samples: what follows the loss is stamped as if nothing had been lost.
      simulation.source.rtpStart.audio -= lostMs * (RATES.audio / 1000);
      // A report arrives every 5 s; then a noticeable error is corrected at once, and less than 60 ms by stretching time by 2 %.
      for (let untilMs = 26_500 + (lostMs > 60 ? 0 : lostMs / 0.02); untilMs <= 70_000; untilMs += 500) {
        simulation.run(untilMs);
        if (simulation.skewMs > 10) return t.fail(`${lostMs} ms, at ${untilMs}: skew ${simulation.skewMs}`);
        if (Math.abs(simulation.offset.video - before.video) > 10)
          return t.fail(`${lostMs} ms, at ${untilMs}: frames moved by ${simulation.offset.video - before.video}`);
      }
      t.ok(simulation.monotonic);
    }
  },
);

t.test('timestamps that restart', async (t) => {
  for (const [kind, jump] of [
    ['video', 2 ** 31 - 5],
    ['video', 10_000_000],
    ['audio', -3_000_000],
    ['audio', 500_000_000],
  ] as const) {
    const simulation = new Simulation({ ...plain, rtpStart: { ...plain.rtpStart } });
    simulation.run(20_000);
    const before = { ...simulation.offset };
    simulation.source.rtpStart[kind] += jump;
    simulation.run(40_000);
    t.ok(simulation.monotonic);
    t.ok(simulation.skewMs < 5, `${kind} ${jump}: skew ${simulation.skewMs}`);
    t.ok(
      Math.abs(simulation.offset[kind] - before[kind]) < 100,
      `${kind} ${jump}: moved by ${simulation.offset[kind] - before[kind]}`,
    );
  }
});

t.test('a packet from before a discontinuity keeps its time', async (t) => {
  const clock = new MediaClock();
  const track = clock.track('video', 90_000);
  for (let i = 0; i < 100; i++) track.arrival(i * 3000, i * 33.333);
  track.arrival(3_000_000_000, 3333);
  const late = track.toStreamMs(99 * 3000);
  const next = track.toStreamMs(3_000_000_000);
  t.ok(Math.abs(late - 3300) < 1, `late packet at ${late}`);
  t.ok(Math.abs(next - 3333) < 1, `next packet at ${next}`);
});

t.test('a stall of the network and the burst after it move nothing', async (t) => {
  const clock = new MediaClock();
  const track = clock.track('video', 90_000);
  const send = (i: number, nowMs: number): number => {
    track.arrival(i * 3000, nowMs);
    return track.toStreamMs(i * 3000);
  };
  for (let i = 0; i < 300; i++) send(i, i * 33.333);
  for (let i = 300; i < 1050; i++) send(i, 35_000);
  for (let i = 1050; i < 2000; i++) {
    const streamMs = send(i, i * 33.333);
    if (Math.abs(streamMs - i * 33.333) > 1) return t.fail(`frame ${i} at ${streamMs}`);
  }
});

t.test('a very old retransmission does not change the time', async (t) => {
  for (const ageMs of [300, 3000, 5000, 30_000]) {
    const simulation = new Simulation({ ...plain, jitterMs: 20 });
    simulation.run(40_000);
    const before = { ...simulation.offset };
    simulation.tracks.video.arrival(simulation.rtpAt('video', 40_000 - ageMs), 40_010);
    simulation.run(50_000);
    t.ok(simulation.monotonic);
    t.ok(Math.abs(simulation.offset.video - before.video) < 5, `moved by ${simulation.offset.video - before.video}`);
    t.ok(simulation.skewMs < 5, `skew ${simulation.skewMs}`);
  }
});

t.test('a pause of a track whose timestamps went on', async (t) => {
  const simulation = new Simulation(plain);
  simulation.run(10_000);
  simulation.run(100_000, ['audio']);
  simulation.run(130_000);
  t.ok(simulation.monotonic);
  t.ok(simulation.skewMs < 5, `skew ${simulation.skewMs}`);
});

t.test('while one track pauses, the other one follows the network', async (t) => {
  const simulation = new Simulation(plain);
  simulation.run(30_000);
  const before = simulation.offset.audio;
  simulation.source.delayMs = { audio: 320, video: 370 };
  simulation.run(120_000, ['audio']);
  t.ok(Math.abs(simulation.offset.audio - before - 300) < 10, `followed by ${simulation.offset.audio - before}`);
});

t.test('tracks whose reports contradict each other follow the local clock separately', async (t) => {
  const simulation = new Simulation({ ...plain, delayMs: { audio: 20, video: 1600 }, ntpDrift: 2e-4 });
  simulation.run(600_000);
  // Without correction 0.02 % of ten minutes are 120 ms.
  t.ok(Math.abs(simulation.offset.audio) < 20, `offset ${simulation.offset.audio}`);
});

t.test('a report before the first packet is kept for it, but not for another source', async (t) => {
  const clock = new MediaClock();
  const track = clock.track('audio', 48_000);
  track.senderReport({ ntpMs: 5000, rtpTimestamp: 48_000 }, 1000);
  track.arrival(96_000, 1100);
  t.equal(track.ntpOffsetMs, 4900);
  clock.resume(2000);
  track.senderReport({ ntpMs: 5000, rtpTimestamp: 48_000 }, 2000);
  clock.resume(3000);
  track.arrival(48_000, 3000);
  t.equal(track.ntpOffsetMs, undefined);
});

t.test('timestamps that stood still during a pause are placed correctly after half a second', async (t) => {
  const clock = new MediaClock();
  const track = clock.track('audio', 48_000);
  for (let i = 0; i < 2000; i++) {
    const nowMs = i * 20 + (i >= 500 ? 8000 : 0);
    track.arrival(i * 960, nowMs);
    const streamMs = track.toStreamMs(i * 960);
    if (i >= 526 && Math.abs(streamMs - nowMs) > 30) return t.fail(`packet ${i} at ${streamMs} instead of ${nowMs}`);
  }
});

t.test('a stall of the network whose packets arrive at one and a half times real time', async (t) => {
  const clock = new MediaClock();
  const track = clock.track('audio', 48_000);
  for (let i = 0; i < 3000; i++) {
    const madeMs = i * 20;
    const nowMs = Math.max(madeMs, madeMs < 10_000 ? 0 : 13_000 + (madeMs - 10_000) / 1.5);
    track.arrival(i * 960, nowMs);
    const streamMs = track.toStreamMs(i * 960);
    if (Math.abs(streamMs - madeMs) > 1) return t.fail(`packet ${i} at ${streamMs} instead of ${madeMs}`);
  }
});

t.test('a network that was interrupted: retransmissions are mixed with new packets', async (t) => {
  const clock = new MediaClock();
  const track = clock.track('audio', 48_000);
  for (let ms = 0; ms < 20_000; ms += ms === 10_000 ? 3000 : 20) {
    if (ms >= 13_000 && ms < 15_000) track.arrival((ms - 1500) * 48, ms);
    track.arrival(ms * 48, ms + (ms > 10_000 && ms % 100 === 0 ? 15 : 1));
    const streamMs = track.toStreamMs(ms * 48);
    if (Math.abs(streamMs - ms) > 2) return t.fail(`packet of ${ms} at ${streamMs}`);
  }
});

t.test('a publisher that returns goes on at the time of the local clock', async (t) => {
  const clock = new MediaClock();
  const first = clock.track('video', 90_000);
  first.arrival(5000, 1_000_000);
  t.equal(first.toStreamMs(5000), 0);
  first.senderReport({ ntpMs: 5, rtpTimestamp: 5000 }, 1_000_000);
  first.arrival(95_000, 1_001_000);
  t.equal(first.toStreamMs(95_000), 1000);
  clock.resume(1_008_000);
  t.equal(first.toStreamMs(1), 8000, 'before the first packet: now');
  t.equal(first.ntpOffsetMs, undefined, 'its wall clock may be a different one');
  first.arrival(4_000_000_000, 1_009_000);
  t.equal(first.toStreamMs(4_000_000_000), 9000);
  t.equal(clock.at(1_010_000), 10_000);

  clock.resume(1_012_000);
  const other = clock.track('video', 48_000);
  t.equal(other.toStreamMs(77), 12_000);
  other.arrival(77, 1_012_500);
  t.equal(other.toStreamMs(77), 12_500, 'even with another clock rate');
});

t.test('any timestamps at any times: time never decreases, and is always a number', async (t) => {
  const step = fc.record({
    kind: fc.constantFrom<TrackKind>('audio', 'video'),
    action: fc.constantFrom('packet', 'packet', 'packet', 'report', 'resume'),
    rtp: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    ntp: fc.double({ min: 0, max: 1e13, noNaN: true }),
    elapsed: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100_000 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const clock = new MediaClock();
      const tracks = { audio: clock.track('audio', 48_000), video: clock.track('video', 90_000) };
      const last = { audio: 0, video: 0 };
      let nowMs = 0;
      for (const { kind, action, rtp, ntp, elapsed } of steps) {
        nowMs += elapsed;
        if (action === 'report') tracks[kind].senderReport({ ntpMs: ntp, rtpTimestamp: rtp }, nowMs);
        else if (action === 'resume') clock.resume(nowMs);
        else {
          tracks[kind].arrival(rtp, nowMs);
          const streamMs = tracks[kind].toStreamMs(rtp);
          if (!(streamMs >= last[kind])) throw new Error(`${kind} went from ${last[kind]} to ${streamMs}`);
          last[kind] = streamMs;
        }
      }
    }),
    { numRuns: 300 },
  );
});

t.test('of packets that arrive together only the first one counts', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          ticks: fc.integer({ min: -1_000_000, max: 1_000_000 }),
          waitMs: fc.nat(3000),
          packets: fc.integer({ min: 1, max: 4 }),
        }),
        { maxLength: 40 },
      ),
      (frames) => {
        const [once, often] = [new MediaClock().track('video', 90_000), new MediaClock().track('video', 90_000)];
        let [rtp, nowMs] = [4_294_000_000, 1000];
        for (const { ticks, waitMs, packets } of frames) {
          rtp = (rtp + ticks) >>> 0;
          nowMs += waitMs;
          once.arrival(rtp, nowMs);
          for (let packet = 0; packet < packets; packet++) often.arrival(rtp, nowMs);
          if (once.toStreamMs(rtp) !== often.toStreamMs(rtp) || once.arrivalOffsetMs !== often.arrivalOffsetMs)
            return false;
        }
        return true;
      },
    ),
  );
  t.end();
});
