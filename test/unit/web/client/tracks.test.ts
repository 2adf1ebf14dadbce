import t, { type Test } from 'tap';
import { ClientError } from '../../../../src/web/client/index.js';
import { PublishedTracks } from '../../../../src/web/client/tracks.js';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';

class FakeTrack extends EventTarget {
  enabled = true;
  contentHint = '';
  readyState = 'live';
  readonly kind: string;
  readonly settings: object;
  constructor(kind: string, settings: object = {}) {
    super();
    this.kind = kind;
    this.settings = settings;
  }
  stop(): void {
    this.readyState = 'ended';
  }
  getSettings(): object {
    return this.settings;
  }
  /** As when the device is gone. */
  lose(): void {
    this.stop();
    this.dispatchEvent(new Event('ended'));
  }
}

class FakeStream {
  tracks: FakeTrack[];
  constructor(...tracks: FakeTrack[]) {
    this.tracks = tracks;
  }
  getTracks = (): FakeTrack[] => this.tracks;
  getAudioTracks = (): FakeTrack[] => this.tracks.filter(({ kind }) => kind === 'audio');
  getVideoTracks = (): FakeTrack[] => this.tracks.filter(({ kind }) => kind === 'video');
  addTrack = (track: FakeTrack): void => void (this.tracks.includes(track) || this.tracks.push(track));
  removeTrack = (track: FakeTrack): void => void (this.tracks = this.tracks.filter((each) => each !== track));
}

interface Parameters {
  encodings: object[];
}

/** A peer connection, as far as tracks are added to it. */
function fakeConnection() {
  const transceivers: {
    sender: { track: unknown; parameters: Parameters };
    init: { sendEncodings?: object[] };
    codecs?: unknown;
  }[] = [];
  let closed = false;
  return {
    transceivers,
    close: () => void (closed = true),
    addTransceiver(track: unknown, init: { sendEncodings?: object[] }) {
      const sender = {
        track: typeof track === 'string' ? null : (track as unknown),
        parameters: { encodings: [{}] } as Parameters,
        async replaceTrack(next: unknown) {
          if (closed) throw Object.assign(new Error('closed'), { name: 'InvalidStateError' });
          sender.track = next;
        },
        getParameters: (): Parameters => sender.parameters,
        setParameters: async (parameters: Parameters) => void (sender.parameters = parameters),
      };
      const transceiver = {
        sender,
        init,
        setCodecPreferences: (codecs: unknown) => void (transceiver.codecs = codecs),
        codecs: undefined as unknown,
      };
      transceivers.push(transceiver);
      return transceiver;
    },
  };
}

type Answer = FakeTrack | Error;

/** Devices that give these tracks, one after the other, and that can be plugged in. */
function fakeDevices(t: Test, answers: { cameras?: Answer[]; screens?: Answer[] }) {
  const asked: unknown[] = [];
  const events = new EventTarget();
  const give = (list: Answer[] | undefined) => async (constraints: unknown) => {
    asked.push(constraints);
    const next = list?.shift() ?? Object.assign(new Error('none'), { name: 'NotFoundError' });
    if (next instanceof Error) throw next;
    return new FakeStream(next);
  };
  replaceGlobals(t, {
    navigator: {
      mediaDevices: Object.assign(events, {
        getUserMedia: give(answers.cameras),
        getDisplayMedia: give(answers.screens),
      }),
    },
  });
  return { asked, plug: () => events.dispatchEvent(new Event('devicechange')) };
}

function publish(options: object = {}, { owned = true } = {}) {
  const microphone = new FakeTrack('audio');
  const camera = new FakeTrack('video', { width: 1280, height: 720, facingMode: 'user' });
  const stream = new FakeStream(microphone, camera);
  const events: [string, string?][] = [];
  const tracks = new PublishedTracks(stream as never, options, owned, (kind, error) =>
    events.push(error ? [kind, error.code] : [kind]),
  );
  const connection = fakeConnection();
  tracks.addTo(connection as never);
  const sent = (): unknown[] => connection.transceivers.map(({ sender }) => sender.track);
  return { microphone, camera, stream, tracks, connection, sent, events };
}

/** Waits for what follows from an event. */
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('limits, hints and codecs', async (t) => {
  const codec = (mimeType: string) => ({ mimeType });
  const all = ['video/VP8', 'video/rtx', 'video/H264', 'video/VP9'].map(codec);
  replaceGlobals(t, { RTCRtpSender: { getCapabilities: () => ({ codecs: all }) } });
  const options = { maxBitrate: 1500, maxHeight: 360, maxFps: 15, videoHint: 'detail', audioHint: 'music' };
  const { camera, microphone, connection, tracks } = publish({ ...options, codecs: ['h264', 'VP8'] });
  const [audio, video] = connection.transceivers;
  t.strictSame(video!.init.sendEncodings, [{ maxBitrate: 1_500_000, maxFramerate: 15, scaleResolutionDownBy: 2 }]);
  t.equal(audio!.init.sendEncodings, undefined);
  t.strictSame(video!.codecs, ['video/H264', 'video/VP8', 'video/rtx'].map(codec));
  t.strictSame([camera.contentHint, microphone.contentHint], ['detail', 'music']);
  const upright = new FakeTrack('video', { width: 1080, height: 1920 });
  await tracks.replace(upright as never);
  t.match(video!.sender.parameters.encodings, [{ scaleResolutionDownBy: 3 }], 'the new track is limited too');
  t.throws(() => publish({ codecs: ['H266'] }), { code: 'UNSUPPORTED_CODEC', message: /H266/ });
  t.equal(publish().connection.transceivers[1]!.init.sendEncodings, undefined, 'one encoding without limits');
});

t.test('replaceTrack', async (t) => {
  const { camera, microphone, stream, tracks, sent, connection } = publish();
  const canvas = new FakeTrack('video');
  await tracks.replace(canvas as never);
  t.strictSame(sent(), [microphone, canvas]);
  t.strictSame(stream.getTracks(), [microphone, canvas], 'the page shows what is sent');
  t.equal(camera.readyState, 'ended', 'the library had opened it');
  connection.close();
  const next = new FakeTrack('video');
  await tracks.replace(next as never);
  const second = fakeConnection();
  tracks.addTo(second as never);
  t.equal(second.transceivers[1]!.sender.track, next, 'the next connection has what was exchanged between the two');
  t.equal(canvas.readyState, 'live', 'a track of the page is left alone');
  tracks.release();
  t.strictSame([microphone.readyState, next.readyState], ['ended', 'live']);

  const silent = new PublishedTracks(new FakeStream(new FakeTrack('video')) as never, {}, false, () => {});
  await t.rejects(silent.replace(new FakeTrack('audio') as never), ClientError);
});

t.test('another camera', async (t) => {
  const back = new FakeTrack('video', { facingMode: 'environment' });
  const busy = Object.assign(new Error('busy'), { name: 'NotReadableError' });
  const constraints = { video: { deviceId: 'front', height: 720 } };
  const { asked } = fakeDevices(t, { cameras: [busy, back, new FakeTrack('video')] });
  const { camera, tracks, sent, microphone } = publish({ constraints });
  await tracks.switchCamera();
  t.strictSame(asked.slice(0, 2), Array(2).fill({ video: { height: 720, facingMode: 'environment' } }));
  t.equal(camera.readyState, 'ended', 'a phone that opens one camera at a time');
  t.strictSame(sent(), [microphone, back]);
  await tracks.switchCamera({ deviceId: 'third' });
  t.strictSame(asked[2], { video: { height: 720, deviceId: 'third' } });
  t.equal(back.readyState, 'ended');
  await t.rejects(tracks.switchCamera(), { code: 'DEVICE_NOT_FOUND' });
  t.equal((sent()[1] as FakeTrack).readyState, 'live', 'the camera goes on');
});

t.test('the screen, and back', async (t) => {
  const [first, second, third] = [1, 2, 3].map(() => new FakeTrack('video'));
  fakeDevices(t, { screens: [first!, second!, third!] });
  const { camera, tracks, sent, microphone } = publish();
  await tracks.shareScreen();
  t.strictSame(sent(), [microphone, first]);
  t.equal(camera.readyState, 'live');
  await tracks.shareScreen();
  t.equal(first!.readyState, 'ended');
  await tracks.stopScreen();
  t.strictSame(sent(), [microphone, camera]);
  t.equal(second!.readyState, 'ended');
  await tracks.shareScreen();
  third!.lose();
  await soon();
  t.strictSame(sent(), [microphone, camera], 'the user has ended it in the browser');
  await t.rejects(tracks.shareScreen(), { code: 'CAMERA' });
  t.strictSame(sent(), [microphone, camera]);
});

t.test('mute', async (t) => {
  const again = new FakeTrack('video');
  const { asked } = fakeDevices(t, { cameras: [again] });
  const { camera, tracks, sent, microphone, stream } = publish();
  await tracks.mute('audio');
  t.equal(microphone.enabled, false);
  t.equal(microphone.readyState, 'live');
  const other = new FakeTrack('audio');
  await tracks.replace(other as never);
  t.equal(other.enabled, false, 'it stays muted with another track');
  await tracks.unmute('audio');
  t.equal(other.enabled, true);

  await tracks.mute('video', { release: true });
  t.strictSame(sent(), [other, null]);
  t.equal(camera.readyState, 'ended', 'its light goes out');
  t.strictSame(stream.getVideoTracks(), []);
  await tracks.unmute('video');
  t.strictSame(sent(), [other, again]);
  t.match(asked, [{ video: {} }]);
  await tracks.mute('video', { release: true });
  await t.rejects(tracks.unmute('video'), { code: 'DEVICE_NOT_FOUND' });
  t.strictSame(sent(), [other, null]);
});

t.test('a device that is unplugged', async (t) => {
  const replacement = new FakeTrack('video');
  const none = Object.assign(new Error('none'), { name: 'NotFoundError' });
  const { plug } = fakeDevices(t, { cameras: [none, none, replacement] });
  const { camera, tracks, sent, microphone, events } = publish();
  camera.lose();
  await soon();
  t.strictSame(events, [['video', 'DEVICE_LOST']]);
  plug();
  await soon();
  t.equal(sent()[1], camera, 'nothing was plugged in yet that is a camera');
  plug();
  await soon();
  t.strictSame(sent(), [microphone, replacement]);
  t.strictSame(events, [['video', 'DEVICE_LOST'], ['video']]);

  const own = publish({}, { owned: false });
  own.camera.lose();
  await soon();
  t.strictSame(own.events, [['video', 'DEVICE_LOST']], 'a page replaces its tracks itself');
  tracks.release();
  t.equal(replacement.readyState, 'ended');
});
