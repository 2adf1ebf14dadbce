import { makeCertificate } from '../test/helpers/certificate.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from '../test/helpers/gateway.ts';
import { waitFor } from '../test/helpers/wait.ts';
import type { ClipCodec } from './clip.ts';
import { BenchProcess } from './child-process.ts';
import type { PublisherRequests } from './publishers-main.ts';
import type { SinkRequests, SinkStream } from './sink-main.ts';

/** A gateway, publishers and an RTMP server, each in processes of their own, on loopback. */
export interface BenchStage {
  readonly gateway: TestGateway;
  readonly publishers: BenchProcess<PublisherRequests>;
  readonly sink: BenchProcess<SinkRequests>;
  readonly sinkPort: number;
  readonly rtmpUrl: string;
  /** Waits until this number of connections has received frames, and returns all connections. */
  flowing(count: number): Promise<SinkStream[]>;
  close(): Promise<void>;
}

/** A copy of this project, and the environment that it is run in. */
export interface SourceTree {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface BenchStageOptions {
  readonly settings?: SettingsOverrides;
  /** Whether the benchmark can collect the gateway's garbage. */
  readonly collectable?: boolean;
  /** Kilobits per second of each publisher's video. */
  readonly kbps?: number;
  /** Of each publisher's video. Default: H.264. */
  readonly codec?: ClipCodec;
  /** `rtmpUrl` is one of RTMPS. */
  readonly secure?: boolean;
  /** Whose gateway is started; this one by default. */
  readonly tree?: SourceTree;
}

const FLOWING_TIMEOUT_MS = 30_000;

export async function setBenchStage({
  settings,
  collectable = false,
  kbps = 2000,
  codec = 'h264',
  secure = false,
  tree,
}: BenchStageOptions = {}): Promise<BenchStage> {
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const sink = await BenchProcess.start<SinkRequests>('./sink-main.ts');
    ends.push(() => sink.stop());
    const sinkPort = await sink.ask('listen', 0);
    const certificate = secure ? await makeCertificate() : undefined;
    if (certificate) ends.push(() => certificate.remove());
    const rtmpUrl = certificate
      ? `rtmps://localhost:${await sink.ask('listenSecurely', { keyFile: certificate.keyFile, certificateFile: certificate.certificateFile })}/live`
      : `rtmp://127.0.0.1:${sinkPort}/live`;
    const gateway = await startGateway(
      { log_level: 'info', ...(certificate && { rtmps_ca_file: certificate.certificateFile }), ...settings },
      { collectable, ...tree },
    );
    ends.push(() => gateway.stop());
    const publishers = await BenchProcess.start<PublisherRequests>('./publishers-main.ts', [String(kbps), codec]);
    ends.push(() => publishers.stop());
    const flowing = (count: number): Promise<SinkStream[]> =>
      waitFor(
        `${count} destinations with frames`,
        async () => {
          const streams = (await sink.ask('streams')).filter(({ endedAt }) => endedAt === 0);
          if (streams.filter(({ frames }) => frames > 0).length >= count) return streams;
          throw new Error(`${streams.length} are there`);
        },
        { timeout: FLOWING_TIMEOUT_MS, every: 200 },
      );
    return { gateway, publishers, sink, sinkPort, rtmpUrl, flowing, close };
  } catch (error) {
    await close();
    throw error;
  }
}
