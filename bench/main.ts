import { BenchError } from './bench-error.ts';
import { parseOptions, type BenchDefaults, type BenchOptions } from './bench-options.ts';
import { publishReport, progress, type Report } from './report.ts';

interface Bench {
  readonly about: string;
  readonly defaults: BenchDefaults;
  readonly load: () => Promise<(options: BenchOptions) => Promise<Report>>;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  push: {
    about: "cost of a destination: our RTMP client, ffmpeg pushers, nginx-rtmp's relay; --counts are destinations",
    defaults: { rounds: 3, seconds: 5, warmUp: 8, counts: [1, 20, 100] },
    load: async () => (await import('./push.ts')).benchPush,
  },
  streams: {
    about:
      'cost of streams with one destination each, until the cores are full; with 1 and 10 of them also --fan-out destinations each; each round once more while the cores are kept awake; --counts are streams',
    defaults: { rounds: 5, seconds: 6, warmUp: 360, counts: [1, 5, 10, 20, 40, 60] },
    load: async () => (await import('./streams.ts')).benchStreams,
  },
  'fan-out': {
    about: 'one stream to one destination and to --fan-out, at the same moment',
    defaults: { rounds: 8, seconds: 6, warmUp: 60, counts: [] },
    load: async () => (await import('./fan-out.ts')).benchFanOut,
  },
  rivals: {
    about:
      'this gateway and Janus with ffmpeg at the same moment, under the same load; --counts are streams, --fan-out destinations of each',
    defaults: { rounds: 10, seconds: 6, warmUp: 360, counts: [1, 10] },
    load: async () => (await import('./rivals.ts')).benchRivals,
  },
  versus: {
    about:
      'the gateways of this source tree and of --other DIR at the same moment, under the same load; --counts are streams, --fan-out destinations of each',
    defaults: { rounds: 6, seconds: 6, warmUp: 120, counts: [10] },
    load: async () => (await import('./versus.ts')).benchVersus,
  },
  rest: {
    about: 'answers of the REST interface while streams flow; --counts are streams',
    defaults: { rounds: 3, seconds: 10, warmUp: 20, counts: [1, 10] },
    load: async () => (await import('./rest.ts')).benchRest,
  },
  latency: {
    about: 'publisher to RTMP server, with and without the out-buffer; start-up; reconnect',
    defaults: { rounds: 5, seconds: 8, warmUp: 4, counts: [1] },
    load: async () => (await import('./latency.ts')).benchLatency,
  },
  console: {
    about: 'the Live page of the console in Chromium: what it costs the gateway and the browser; --counts are streams',
    defaults: { rounds: 3, seconds: 8, warmUp: 10, counts: [20, 200] },
    load: async () => (await import('./console.ts')).benchConsole,
  },
  transcode: {
    about: 'three destinations with the same profile and with three profiles',
    defaults: { rounds: 3, seconds: 8, warmUp: 4, counts: [3] },
    load: async () => (await import('./transcode.ts')).benchTranscode,
  },
  'pass-through': {
    about:
      'streams of VP9, and of H.264 with Opus, pushed as they are and encoded as H.264 and AAC; --counts are streams',
    defaults: { rounds: 3, seconds: 8, warmUp: 4, counts: [10] },
    load: async () => (await import('./pass-through.ts')).benchPassThrough,
  },
  audio: {
    about: "AAC encoders: cost of ours and of libavcodec's, and their quality by a model of hearing",
    defaults: { rounds: 3, seconds: 120, warmUp: 0, counts: [] },
    load: async () => (await import('./audio.ts')).benchAudio,
  },
  cluster: {
    about:
      'what a manager costs for each WHIP POST and /push/find, and how long a stream and a push in standby are away after kill -9 of their node; --counts is the number of kills',
    defaults: { rounds: 3, seconds: 5, warmUp: 0, counts: [30] },
    load: async () => (await import('./cluster.ts')).benchCluster,
  },
  recording: {
    about: 'what recording and HLS add to streams that are pushed anyway, and the index of a file: processor time',
    defaults: { rounds: 5, seconds: 600, warmUp: 0, counts: [] },
    load: async () => (await import('./recording.ts')).benchRecording,
  },
  continuity: {
    about:
      'pushes with standby whose publishers are killed: cost of standby, how fast it begins and ends; --counts are streams',
    defaults: { rounds: 5, seconds: 8, warmUp: 0, counts: [10] },
    load: async () => (await import('./continuity.ts')).benchContinuity,
  },
  rooms: {
    about:
      'a scope of --counts WebSocket members beside a pushed stream: time until a message has reached all, CPU, memory',
    defaults: { rounds: 3, seconds: 10, warmUp: 20, counts: [1000] },
    load: async () => (await import('./rooms.ts')).benchRooms,
  },
  soak: {
    about: 'publishers and destinations come, go and fail at random; --minutes 60 for an hour, --seed to repeat one',
    defaults: { rounds: 1, seconds: 5, warmUp: 150, counts: [3] },
    load: async () => (await import('./soak.ts')).benchSoak,
  },
};

const HELP = `npm run bench -- NAME [options]

${Object.entries(BENCHES)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join('\n')}

  --rounds N       number of measurements, of which the median is taken
  --seconds N      of each round
  --warm-up N      seconds before the first round
  --counts A,B,C   numbers of streams, destinations or members
  --fan-out N      streams, fan-out, rivals, versus: destinations of one stream, where there are more than one
  --minutes N      soak: how long
  --seed N         soak: repeats the events of the run that printed this seed
  --set KEY=VALUE  a setting of the gateway; may be repeated
  --other DIR      versus: the other source tree, with its packages installed
  --fast-coder     rivals: Janus's ffmpeg uses libavcodec's fast AAC coder instead of its default one

Each prints a table, and writes bench/results/NAME.json and NAME.svg. Percentages are of one core.
`;

const [name, ...args] = process.argv.slice(2);
const bench = BENCHES[name ?? ''];
if (!bench || args.includes('--help')) {
  process.stdout.write(HELP);
  process.exit(name === undefined || name === '--help' || bench ? 0 : 1);
}
try {
  const options = parseOptions(args, bench.defaults);
  const run = await bench.load();
  const startedAt = performance.now();
  progress(`bench ${name}`);
  await publishReport(await run(options));
  progress(`took ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  process.exit(0);
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  console.error(`bench ${name}: ${error.message}`);
  process.exit(1);
}
