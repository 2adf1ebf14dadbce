import t from 'tap';
import {
  ClientError,
  Playback,
  RestError,
  RoomError,
  openCamera,
  openScreen,
} from '../../../../src/web/client/index.js';
import { ERROR_KINDS } from '../../../../src/errors.ts';
import { refusal } from '../../../../src/web/client/errors.js';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';

/** What browsers throw. */
const domError = (name: string): Error => Object.assign(new Error('of the browser'), { name });

const errorOf = async (action: () => Promise<unknown>): Promise<ClientError> => {
  const error: unknown = await action().then(
    () => new Error('nothing was thrown'),
    (error: unknown) => error,
  );
  if (!(error instanceof ClientError)) throw error;
  return error;
};

t.test('devices', async (t) => {
  const failing = (name: string) => ({
    mediaDevices: { getUserMedia: () => Promise.reject(domError(name)) },
  });
  for (const [name, code] of [
    ['NotAllowedError', 'PERMISSION_DENIED'],
    ['NotFoundError', 'DEVICE_NOT_FOUND'],
    ['NotReadableError', 'DEVICE_BUSY'],
    ['OverconstrainedError', 'CONSTRAINTS'],
    ['AbortError', 'CAMERA'],
  ] as const) {
    replaceGlobals(t, { navigator: failing(name) });
    const error = await errorOf(() => openCamera());
    t.equal(error.code, code);
    t.ok(error.cause instanceof Error, 'the error of the browser');
    if (code !== 'CAMERA') t.ok(error.message.endsWith(error.remedy), `${code}: the message says what to do`);
  }
  replaceGlobals(t, { navigator: {} });
  for (const open of [openCamera, openScreen])
    t.equal((await errorOf(() => open())).code, 'INSECURE_CONTEXT', 'a page that browsers hide the devices from');
});

t.test('the screen', async (t) => {
  replaceGlobals(t, { navigator: { mediaDevices: {} } });
  t.match(await errorOf(() => openScreen()), { code: 'UNSUPPORTED_BROWSER', remedy: /current version/ });
  for (const [name, code] of [
    ['NotAllowedError', 'PERMISSION_DENIED'],
    ['InvalidStateError', 'CAMERA'],
  ] as const) {
    replaceGlobals(t, { navigator: { mediaDevices: { getDisplayMedia: () => Promise.reject(domError(name)) } } });
    t.equal((await errorOf(() => openScreen())).code, code);
  }
});

t.test('a video that may not play', async (t) => {
  replaceGlobals(t, {
    MediaStream: class {},
    RTCPeerConnection: class {},
  });
  const playback = new Playback({} as never, { name: 'stream1' });
  const video = (name?: string) =>
    ({ play: () => (name ? Promise.reject(domError(name)) : Promise.resolve()) }) as unknown as Parameters<
      Playback['show']
    >[0];
  t.match(await errorOf(() => playback.show(video('NotAllowedError'))), { code: 'AUTOPLAY_REFUSED', remedy: /click/ });
  t.equal((await errorOf(() => playback.show(video('NotSupportedError')))).code, 'UNSUPPORTED_CODEC');
  await playback.show(video('AbortError'));
  const shown = video();
  await playback.show(shown);
  t.equal(shown.srcObject, playback.stream);
  t.ok(shown.playsInline);
});

t.test('a browser without WebRTC', async (t) => {
  replaceGlobals(t, { MediaStream: class {}, RTCPeerConnection: undefined });
  const error = await errorOf(async () => new Playback({} as never, { name: 'stream1' }));
  t.equal(error.code, 'UNSUPPORTED_BROWSER');
});

t.test('refusals of the gateway', async (t) => {
  t.match(refusal('STREAM_FAILED', 'The token has expired.', 'TOKEN_EXPIRED'), {
    code: 'TOKEN_EXPIRED',
    reasonCode: 'TOKEN_EXPIRED',
    message: 'The token has expired.',
    remedy: /new token/,
  });
  t.match(refusal('STREAM_FAILED', 'No common codecs', 'NO_COMMON_CODECS'), {
    code: 'UNSUPPORTED_CODEC',
    reasonCode: 'NO_COMMON_CODECS',
  });
  t.match(refusal('STREAM_FAILED', 'Stream name is already in use', 'STREAM_NAME_IN_USE'), {
    code: 'STREAM_FAILED',
    reasonCode: 'STREAM_NAME_IN_USE',
    remedy: /another name/,
  });
  t.match(refusal('CONNECTION_REFUSED', 'no', undefined), { code: 'CONNECTION_REFUSED', reasonCode: undefined });
  for (const code of Object.keys(ERROR_KINDS))
    t.match(refusal('STREAM_FAILED', 'no', code).remedy, /^[A-Z][^.]+\.( If [^.]+\.)?$/, code);
});

t.test('all classes are ClientError, and have a remedy', async (t) => {
  const errors = [new RestError(401, 'UNAUTHORIZED', 'no'), new RoomError('LOGIN_IN_USE', 'no')];
  for (const error of errors) t.ok(error instanceof ClientError && error.remedy !== '');
  t.strictSame(
    errors.map(({ name, code }) => [name, code]),
    [
      ['RestError', 'UNAUTHORIZED'],
      ['RoomError', 'LOGIN_IN_USE'],
    ],
  );
});
