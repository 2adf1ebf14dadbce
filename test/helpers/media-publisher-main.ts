import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import nodeDataChannel from 'node-datachannel';
import { nalUnitsOf, readSequenceHeader } from '../../src/media/codecs/avc-nal.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { presentationMs, TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import type { MediaPublisherOptions } from './media-publisher.ts';
import { OPUS_PACKET_MS, packetsOf } from './opus.ts';
import { MOST_TRIES, waitFor } from './wait.ts';

/** Publishes H.264 and Opus from files with WHIP, in a loop in real time, until it is killed: see `media-publisher.ts`. */

const H264 = 96;
const OPUS = 111;
const MAX_PAYLOAD = 1100;
const FU_A = 28;
const MID_ID = 1;
/** RTCP: feedback about the payload, and the format of a picture loss indication. */
const RTCP_PSFB = 206;
const PLI = 1;
const VIDEO_CLOCK = 90_000;
const AUDIO_CLOCK = 48_000;

const {
  httpUrl,
  stream,
  video: videoFile,
  audio: audioFile,
  fps,
  setsOnce = false,
  marksAll = false,
  mid = false,
  unnamed = false,
  videoType = H264,
  token,
} = JSON.parse(process.argv[2]!) as MediaPublisherOptions;
/** The offsets are added to the SSRC, sequence numbers and times of each track. */
const sends = { video: true, audio: true, videoOffset: 0, audioOffset: 0 };
process.on('message', (change: Partial<typeof sends>) => Object.assign(sends, change));
process.on('disconnect', () => process.exit());

const connection = new nodeDataChannel.PeerConnection(stream, {
  iceServers: [],
  bindAddress: '127.0.0.1',
  disableAutoNegotiation: true,
});
const ssrc = process.pid * 2;

/** A header extension of one element (RFC 8285, 4.2), with the mid of one character. */
const midExtension = (section: number): Buffer =>
  Buffer.from([0xbe, 0xde, 0, 1, MID_ID << 4, String(section).charCodeAt(0), 0, 0]);

function addTrack(media: nodeDataChannel.Audio | nodeDataChannel.Video, payloadType: number, section: number) {
  const changed = (): number => (section === 0 ? sends.audioOffset : sends.videoOffset);
  media.addSSRC(ssrc + section, stream, stream, `track${section}`);
  const track = connection.addTrack(media);
  let sequence = Math.floor(Math.random() * 0xffff);
  return {
    track,
    send(payload: Buffer, timestamp: number, marker: boolean): void {
      const header = Buffer.alloc(12);
      header[0] = 0x80;
      header[1] = (marker ? 0x80 : 0) | payloadType;
      header.writeUInt16BE((sequence++ + 7 * changed()) & 0xffff, 2);
      header.writeUInt32BE((Math.round(timestamp) + 90_000 * changed()) >>> 0, 4);
      header.writeUInt32BE(ssrc + section + changed(), 8);
      if (mid) header[0] = 0x90;
      track.sendMessageBinary(Buffer.concat([header, ...(mid ? [midExtension(section)] : []), payload]));
    },
  };
}

const audioMedia = new nodeDataChannel.Audio('0', 'SendOnly');
audioMedia.addOpusCodec(OPUS);
const videoMedia = new nodeDataChannel.Video('1', 'SendOnly');
videoMedia.addH264Codec(H264);
const audio = audioFile ? addTrack(audioMedia, OPUS, 0) : undefined;
const video = videoFile ? addTrack(videoMedia, videoType, 1) : undefined;

connection.setLocalDescription('offer');
await waitFor('the candidates', () => connection.gatheringState() === 'complete', { every: 5 });
const { sdp: full } = connection.localDescription()!;
const sdp = unnamed ? full.replaceAll(/a=ssrc.*\r\n/g, '') : full;
const extension = `a=extmap:${MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n`;
const offer = mid ? sdp.replaceAll(/a=mid:.*\r\n/g, (line) => line + extension) : sdp;
async function post(): Promise<{ status: number | undefined; answer: string }> {
  const sent = request(`${httpUrl}/whip/${stream}`, {
    method: 'POST',
    headers: { 'content-type': 'application/sdp', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  });
  sent.end(offer);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, answer: await text(response) };
}
// On a busy machine a gateway that has just started says for some seconds that it is overloaded, and to try again.
let { status, answer } = await post();
for (let tries = 0; tries < MOST_TRIES && status === 503 && answer.includes('OVERLOADED'); tries++) {
  await sleep(1000);
  ({ status, answer } = await post());
}
if (status !== 201) throw new Error(`WHIP answered ${status}: ${answer}`);
connection.setRemoteDescription(answer, 'answer');
await waitFor('a WebRTC connection', () => (audio ?? video)!.track.isOpen(), { every: 5 });

interface Frame {
  readonly keyFrame: boolean;
  readonly nalUnits: readonly Buffer[];
  /** From decoding to presentation. */
  readonly reorderedMs: number;
}
const frames: Frame[] = [];
if (videoFile) {
  let sets: Buffer[] = [];
  for (const tag of new FlvReader().push(readFileSync(videoFile))) {
    const { type, sequenceHeader, keyFrame, data } = tag;
    if (type !== TAG_VIDEO || data.length <= 5) continue;
    if (sequenceHeader) {
      const { sps, pps } = readSequenceHeader(data);
      sets = [...sps, ...pps];
    } else {
      const withSets = keyFrame && (!setsOnce || frames.length === 0);
      const nalUnits = withSets ? [...sets, ...nalUnitsOf(data)] : nalUnitsOf(data);
      frames.push({ keyFrame, nalUnits, reorderedMs: presentationMs(tag) - tag.timestamp });
    }
  }
}
const packets = audioFile ? packetsOf(readFileSync(audioFile)) : [];

/** Continues with a key frame, as an encoder does that is asked for one. */
let seekKeyFrame = false;
video?.track.onMessage((message) => {
  for (let at = 0; at + 4 <= message.length; at += 4 + 4 * message.readUInt16BE(at + 2))
    if (message[at + 1] === RTCP_PSFB && (message[at]! & 0x1f) === PLI) seekKeyFrame = true;
});

function sendFrame({ nalUnits }: Frame, timestamp: number): void {
  nalUnits.forEach((nalUnit, index) => {
    const isLast = index === nalUnits.length - 1;
    if (nalUnit.length <= MAX_PAYLOAD) return video!.send(nalUnit, timestamp, isLast || marksAll);
    const header = nalUnit[0]!;
    for (let at = 1; at < nalUnit.length; at += MAX_PAYLOAD) {
      const ends = at + MAX_PAYLOAD >= nalUnit.length;
      const flags = (at === 1 ? 0x80 : 0) | (ends ? 0x40 : 0) | (header & 0x1f);
      const payload = Buffer.concat([Buffer.of((header & 0xe0) | FU_A, flags), nalUnit.subarray(at, at + MAX_PAYLOAD)]);
      video!.send(payload, timestamp, ends && (isLast || marksAll));
    }
  });
}

process.send!('connected');
const startedAt = performance.now();
let sentFrames = 0;
/** Index of the next frame. */
let next = 0;
let sentPackets = 0;
/** Frames that refer to frames that were not sent cannot be shown. */
let mayRefer = true;
setInterval(() => {
  const seconds = (performance.now() - startedAt) / 1000;
  for (; video && sentFrames <= seconds * fps; sentFrames++) {
    if (seekKeyFrame) while (!frames[next]!.keyFrame) next = (next + 1) % frames.length;
    seekKeyFrame = false;
    const frame = frames[next]!;
    next = (next + 1) % frames.length;
    if (frame.keyFrame && sends.video) mayRefer = true;
    if (!sends.video) mayRefer = false;
    if (mayRefer) sendFrame(frame, (sentFrames / fps + frame.reorderedMs / 1000) * VIDEO_CLOCK);
  }
  for (; audio && (sentPackets * OPUS_PACKET_MS) / 1000 <= seconds; sentPackets++) {
    const packet = packets[sentPackets % packets.length]!;
    if (sends.audio) audio.send(packet, (sentPackets * OPUS_PACKET_MS * AUDIO_CLOCK) / 1000, true);
  }
}, 5);
