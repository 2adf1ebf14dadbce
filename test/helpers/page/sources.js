// Video and audio sources with properties that can be measured in recordings.
'use strict';

const FRAME_MS = 1000 / 30;

/** A canvas that `draw` fills 30 times per second, as a video track. */
function canvasTrack(width, height, draw) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { alpha: false });
  const track = canvas.captureStream(0).getVideoTracks()[0];
  const paint = () => {
    draw(context, canvas);
    track.requestFrame();
  };
  const timer = setInterval(paint, FRAME_MS);
  paint();
  return { canvas, track, paint, stop: () => clearInterval(timer) };
}

/** A moving pattern, dark enough not to be mistaken for a flash. */
function drawMotion(context, canvas) {
  const step = performance.now() / 1000;
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#060';
  const size = canvas.height / 4;
  context.fillRect(
    ((Math.sin(step) + 1) / 2) * (canvas.width - size),
    ((Math.cos(step * 1.3) + 1) / 2) * (canvas.height - size),
    size,
    size,
  );
}

/** A tone that is initially silent. */
function toneTrack(frequency) {
  const context = new AudioContext({ sampleRate: 48000 });
  const oscillator = new OscillatorNode(context, { frequency });
  const gain = new GainNode(context, { gain: 0 });
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  return { context, gain, track: destination.stream.getAudioTracks()[0] };
}

const sources = {
  /** A white flash over the whole frame and a 1 kHz beep of 100 ms at the same time, once per second. */
  flashAndBeep({ width = 640, height = 360 } = {}) {
    const tone = toneTrack(1000);
    let flashUntil = 0;
    let nextFlash = performance.now() + 1000;
    const frame = canvasTrack(width, height, (context, canvas) => {
      const now = performance.now();
      if (now >= nextFlash) {
        nextFlash += 1000;
        flashUntil = now + 100;
        const start = tone.context.currentTime;
        tone.gain.gain.setValueAtTime(0.5, start);
        tone.gain.gain.setValueAtTime(0, start + 0.1);
      }
      if (now < flashUntil) {
        context.fillStyle = '#fff';
        context.fillRect(0, 0, canvas.width, canvas.height);
      } else {
        drawMotion(context, canvas);
      }
    });
    return {
      stream: new MediaStream([frame.track, tone.track]),
      resize: (w, h) => Object.assign(frame.canvas, { width: w, height: h }),
    };
  },

  /** A moving pattern and a steady tone at half of full scale (-6 dBFS peak, -9 dBFS RMS). */
  tone({ width = 640, height = 360, frequency = 440 } = {}) {
    const tone = toneTrack(frequency);
    tone.gain.gain.value = 0.5;
    const frame = canvasTrack(width, height, drawMotion);
    return {
      stream: new MediaStream([frame.track, tone.track]),
      resize: (w, h) => Object.assign(frame.canvas, { width: w, height: h }),
    };
  },

  /** As `tone`, with video that is hard to compress and uses all the bitrate. */
  noise({ width = 640, height = 360, frequency = 440 } = {}) {
    const tone = toneTrack(frequency);
    tone.gain.gain.value = 0.5;
    const frame = canvasTrack(width, height, (context, canvas) => {
      const image = context.createImageData(canvas.width, canvas.height);
      crypto.getRandomValues(new Uint8Array(image.data.buffer, 0, Math.min(65_536, image.data.length)));
      context.putImageData(image, 0, 0);
    });
    return { stream: new MediaStream([frame.track, tone.track]) };
  },

  /** As `tone`, without a microphone. */
  videoOnly(options) {
    const source = sources.tone(options);
    return { ...source, stream: new MediaStream(source.stream.getVideoTracks()) };
  },

  /** As `tone`, without a camera. */
  audioOnly(options) {
    const source = sources.tone(options);
    return { ...source, stream: new MediaStream(source.stream.getAudioTracks()) };
  },
};
