import { openCamera, openScreen } from '../client/index.js';
import { connect, element, run, say, valueOf } from './example.js';

const FPS = 30;

/** @param {MediaStream} stream */
async function play(stream) {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
  await video.play();
  return video;
}

run(async () => {
  const screen = await openScreen();
  const camera = await openCamera().catch((error) => {
    for (const track of screen.getTracks()) track.stop();
    throw error;
  });
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  const picture = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const [large, small] = [await play(screen), await play(camera)];
  const draw = () => {
    picture.drawImage(large, 0, 0, canvas.width, canvas.height);
    picture.drawImage(small, canvas.width - 340, canvas.height - 260, 320, 240);
  };
  // Pages in the background draw nothing by themselves, and this one is when the user shows another. Workers tick on.
  const clock = new Worker('clock.js');
  clock.onmessage = draw;

  const session = await connect();
  const mixed = new MediaStream([...canvas.captureStream(FPS).getVideoTracks(), ...camera.getAudioTracks()]);
  const publication = await session.publish({ name: valueOf('name'), stream: mixed, videoHint: 'detail' });
  element('video').srcObject = mixed;
  say('Publishing');
  publication.on('state', (state, info) => say(`${state} ${info}`));
  return async () => {
    await publication.stop();
    session.close();
    clock.terminate();
    for (const track of [...screen.getTracks(), ...camera.getTracks(), ...mixed.getTracks()]) track.stop();
  };
});
