const FPS = 30;
/** Of the width: the camera, and its distance from the corner. */
const [CAMERA, MARGIN] = [0.25, 0.02];

/**
 * Draws the camera into a corner of the screen, and mixes their audio.
 *
 * @param {MediaStream} screen
 * @param {MediaStream} camera
 * @param {{ width?: number, height?: number }} [size] pixels of the result
 * @returns {Promise<{ stream: MediaStream, stop(): void }>} `stop` ends what was passed in, too
 */
export async function pictureInPicture(screen, camera, { width = 1280, height = 720 } = {}) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const picture = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const [large, small] = await Promise.all([play(screen), play(camera)]);
  const draw = () => {
    picture.fillRect(0, 0, width, height);
    const scale = Math.min(width / (large.videoWidth || width), height / (large.videoHeight || height));
    const [w, h] = [scale * large.videoWidth, scale * large.videoHeight];
    picture.drawImage(large, (width - w) / 2, (height - h) / 2, w, h);
    const [cameraWidth, margin] = [width * CAMERA, width * MARGIN];
    const cameraHeight = (cameraWidth * small.videoHeight) / (small.videoWidth || 1);
    picture.drawImage(small, width - cameraWidth - margin, height - cameraHeight - margin, cameraWidth, cameraHeight);
  };
  // Pages in the background draw nothing by themselves, and this one is when the user shows another. Workers tick on.
  const clock = new Worker(new URL('clock.js', import.meta.url));
  clock.onmessage = draw;
  const sound = mix([...screen.getAudioTracks(), ...camera.getAudioTracks()]);
  const stream = new MediaStream([...canvas.captureStream(FPS).getVideoTracks(), ...sound.tracks]);
  return {
    stream,
    stop() {
      clock.terminate();
      sound.close();
      for (const each of [screen, camera, stream]) for (const track of each.getTracks()) track.stop();
    },
  };
}

/** @param {MediaStream} stream */
async function play(stream) {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
  await video.play();
  return video;
}

/**
 * @param {MediaStreamTrack[]} tracks
 * @returns {{ tracks: MediaStreamTrack[], close(): void }} one track at most
 */
function mix(tracks) {
  if (tracks.length < 2) return { tracks, close: () => undefined };
  const audio = new AudioContext();
  const mixed = audio.createMediaStreamDestination();
  for (const track of tracks) audio.createMediaStreamSource(new MediaStream([track])).connect(mixed);
  return { tracks: mixed.stream.getAudioTracks(), close: () => void audio.close() };
}
