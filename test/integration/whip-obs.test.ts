import nodeDataChannel from 'node-datachannel';
import t from 'tap';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { opusPackets } from '../helpers/opus.ts';
import { analyse, recorded, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

// What OBS publishes with: libdatachannel's offer, packetizers, reports, repetitions and pacing, chained as OBS chains them.
const { Audio, H264RtpPacketizer, PacingHandler, PeerConnection, RtcpNackResponder, RtcpSrReporter, RtpPacketizationConfig, RtpPacketizer, Video } = nodeDataChannel;

const PICTURE_MS = 1000 / 30;
const SOUND_MS = 20;

t.setTimeout(FILE_TIMEOUT);
const headers = { authorization: 'Bearer k3y' };
const [gateway, nginx] = await Promise.all([startGateway({ rest_api_key: 'k3y' }), startNginxRtmp()]);
t.teardown(async () => {
  nodeDataChannel.cleanup();
  await gateway.stop();
  await nginx.stop();
});

/** Pictures in decoding order, as x264 gives them to OBS: begun by a delimiter, key frames with their parameter sets. */
async function pictures(bFrames: number): Promise<Buffer[]> {
  const stream = await ffmpeg(['-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=30', '-t', '4', '-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-preset', 'ultrafast', '-profile:v', 'main', '-g', '30', '-bf', String(bFrames), '-x264-params', 'aud=1:b-adapt=0:slices=2', '-f', 'h264', 'pipe:1']);
  const delimiter = Buffer.from('0000000109', 'hex');
  const units: Buffer[] = [];
  for (let start = 0; start >= 0; ) {
    const next = stream.indexOf(delimiter, start + delimiter.length);
    units.push(stream.subarray(start, next < 0 ? undefined : next));
    start = next;
  }
  return units;
}

interface Publication {
  /** Closes the connection, then the session, as OBS does; gives the status of the answer. */
  stop(): Promise<number>;
}

async function publish(name: string, video: readonly Buffer[]): Promise<Publication> {
  const connection = new PeerConnection(name, { iceServers: [], bindAddress: '127.0.0.1', disableAutoNegotiation: true });
  const sound = opusPackets('sine=frequency=440', 2);
  const audioSection = new Audio('0', 'SendOnly');
  audioSection.addOpusCodec(111);
  audioSection.addSSRC(1000, 'cname', 'stream', 'stream-audio');
  const videoSection = new Video('1', 'SendOnly');
  videoSection.addH264Codec(96);
  videoSection.addSSRC(1001, 'cname', 'stream', 'stream-video');
  const tracks = { audio: connection.addTrack(audioSection), video: connection.addTrack(videoSection) };
  const clocks = { audio: new RtpPacketizationConfig(1000, 'cname', 111, 48_000), video: new RtpPacketizationConfig(1001, 'cname', 96, 90_000) };
  const packetizers = { audio: new RtpPacketizer(clocks.audio), video: new H264RtpPacketizer('StartSequence', clocks.video, 1200) };
  for (const kind of ['audio', 'video'] as const) {
    packetizers[kind].addToChain(new RtcpSrReporter(clocks[kind]));
    packetizers[kind].addToChain(new RtcpNackResponder(4000));
    if (kind === 'video') packetizers[kind].addToChain(new PacingHandler(15_000_000, 5));
    tracks[kind].setMediaHandler(packetizers[kind]);
  }

  connection.setLocalDescription('offer');
  await waitFor('the candidates', () => connection.gatheringState() === 'complete');
  const answer = await fetch(`${gateway.httpUrl}/whip/${name}?rtmpUrl=${encodeURIComponent(nginx.rtmpUrl)}`, { method: 'POST', headers: { ...headers, 'content-type': 'application/sdp' }, body: connection.localDescription()!.sdp });
  if (answer.status !== 201) throw new Error(await answer.text());
  connection.setRemoteDescription(await answer.text(), 'answer');
  await waitFor('a connection', () => connection.state() === 'connected');

  const startedAt = performance.now();
  const sent = { audio: 0, video: 0 };
  const sending = setInterval(() => {
    const elapsed = performance.now() - startedAt;
    // The time of decoding, whatever is shown when.
    for (; sent.video * PICTURE_MS <= elapsed; clocks.video.timestamp += 3000) tracks.video.sendMessageBinary(video[sent.video++ % video.length]!);
    for (; sent.audio * SOUND_MS <= elapsed; clocks.audio.timestamp += 960) tracks.audio.sendMessageBinary(sound[sent.audio++ % sound.length]!);
  }, 10);
  return {
    async stop() {
      clearInterval(sending);
      connection.close();
      return (await fetch(new URL(answer.headers.get('location')!, gateway.httpUrl), { method: 'DELETE', headers })).status;
    },
  };
}

for (const bFrames of [0, 2]) {
  await t.test(`as OBS publishes, with ${bFrames} B-frames`, async (t) => {
    const name = `obs${bFrames}`;
    const publication = await publish(name, await pictures(bFrames));
    const file = recordingOf(nginx, `rtmp_${name}`);
    await recorded(file, 3500);
    t.equal(await publication.stop(), 200);
    t.match((await gateway.http('/api/v1/transponders?ended=true', { headers })).body, [{ sourceStreamName: name, reasonCode: 'STREAM_STOPPED' }]);
    const recording = await analyse(file);
    t.ok(recording.startsWithKeyFrame);
    t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
    t.equal(`${recording.pictures.at(-1)!.width}x${recording.pictures.at(-1)!.height}`, '640x360');
    t.ok(recording.level(1000, 3000) > -30, `the tone is there: ${recording.level(1000, 3000)} dBFS`);
    t.equal(gateway.logs().includes('The publisher sends B-frames'), bFrames > 0, 'who sends them is told');
    if (bFrames === 0) t.strictSame(recording.decodeErrors, []);
  });
}
