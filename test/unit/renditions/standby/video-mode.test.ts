import t from 'tap';
import {
  INITIAL_VIDEO,
  stepVideo,
  type VideoEffect,
  type VideoEvent,
  type VideoMode,
  type VideoState,
} from '../../../../src/renditions/standby/video-mode.ts';

const WITH_PICTURE = { hasPicture: true, freezes: true };
const KEY_FRAME: VideoEvent = { type: 'frame', keyFrame: true };
const FRAME: VideoEvent = { type: 'frame', keyFrame: false };
const absent = (canFreeze: boolean): VideoEvent => ({ type: 'absent', canFreeze });
const hold = (canFreeze: boolean): VideoEvent => ({ type: 'hold', canFreeze });

const state = (mode: VideoMode, more: Partial<VideoState> = {}): VideoState => ({ ...INITIAL_VIDEO, mode, ...more });
const ready = { clipReady: true };
const due = { due: true };
const held = { held: true };

type Row = readonly [string, VideoState, VideoEvent, VideoState, VideoEffect?];

/** Every mode with every event. */
const ROWS: readonly Row[] = [
  ['a first key frame begins', state('idle'), KEY_FRAME, state('live'), 'start-live'],
  ['a frame before it cannot', state('idle'), FRAME, state('idle'), 'request-key-frame'],
  ['no publisher: wait for the clip', state('idle'), absent(false), state('idle', due)],
  ['no publisher, clip ready', state('idle', ready), absent(false), state('standby', ready), 'start-clip'],
  ['clip ready at the start: live video is waited for', state('idle'), { type: 'clip-ready' }, state('idle', ready)],
  [
    'the clip that was waited for',
    state('idle', due),
    { type: 'clip-ready' },
    state('standby', { ...ready }),
    'start-clip',
  ],
  ['idle: clip gone', state('idle', ready), { type: 'clip-gone' }, state('idle')],
  ['idle: freeze-over is late', state('idle'), { type: 'freeze-over' }, state('idle')],
  ['idle: held', state('idle'), hold(false), state('idle', { ...held, ...due })],
  ['idle: held, clip ready', state('idle', ready), hold(false), state('standby', { ...ready, ...held }), 'start-clip'],
  ['idle: held again', state('idle', held), hold(false), state('idle', held)],
  ['idle: released', state('idle', held), { type: 'release' }, state('idle'), 'request-key-frame'],
  ['idle: not held', state('idle'), { type: 'release' }, state('idle')],
  ['idle: key frame for an output', state('idle'), { type: 'key-frame-needed' }, state('idle'), 'request-key-frame'],
  ['idle and held: live is kept back', state('idle', held), KEY_FRAME, state('idle', held)],

  ['live goes on', state('live'), FRAME, state('live')],
  ['live key frame', state('live'), KEY_FRAME, state('live')],
  ['live ceases', state('live', ready), absent(true), state('freeze', ready), 'start-freeze'],
  ['live ceases, cannot freeze', state('live', ready), absent(false), state('standby', ready), 'start-clip'],
  ['live ceases, cannot freeze, no clip yet', state('live'), absent(false), state('idle', due)],
  ['live: clip ready', state('live'), { type: 'clip-ready' }, state('live', ready)],
  ['live: clip gone', state('live', ready), { type: 'clip-gone' }, state('live')],
  ['live: freeze-over is late', state('live'), { type: 'freeze-over' }, state('live')],
  ['live: held', state('live', ready), hold(true), state('standby', { ...ready, ...held }), 'start-clip'],
  ['live: held, no clip yet', state('live'), hold(true), state('freeze', { ...held, ...due }), 'start-freeze'],
  ['live: held, nothing to show', state('live'), hold(false), state('idle', { ...held, ...due })],
  ['live: not held', state('live'), { type: 'release' }, state('live')],
  ['live: key frame for an output', state('live'), { type: 'key-frame-needed' }, state('live'), 'request-key-frame'],

  ['freeze: live returns', state('freeze', due), KEY_FRAME, state('live'), 'start-live'],
  ['freeze: needs a key frame', state('freeze'), FRAME, state('freeze'), 'request-key-frame'],
  ['freeze and held: live is kept back', state('freeze', held), KEY_FRAME, state('freeze', held)],
  ['freeze: still absent', state('freeze'), absent(true), state('freeze')],
  ['freeze is over', state('freeze', ready), { type: 'freeze-over' }, state('standby', ready), 'start-clip'],
  ['freeze is over, no clip yet', state('freeze'), { type: 'freeze-over' }, state('freeze', due)],
  ['freeze: clip ready early', state('freeze'), { type: 'clip-ready' }, state('freeze', ready)],
  ['freeze: clip ready late', state('freeze', due), { type: 'clip-ready' }, state('standby', ready), 'start-clip'],
  ['freeze: clip gone', state('freeze', ready), { type: 'clip-gone' }, state('freeze')],
  ['freeze: clip gone that was waited for', state('freeze', due), { type: 'clip-gone' }, state('idle', due)],
  ['freeze: held', state('freeze', ready), hold(false), state('standby', { ...ready, ...held }), 'start-clip'],
  ['freeze: held, no clip yet', state('freeze'), hold(false), state('freeze', { ...held, ...due })],
  ['freeze: released', state('freeze', held), { type: 'release' }, state('freeze'), 'request-key-frame'],
  [
    'freeze: an output can begin with the clip only',
    state('freeze', ready),
    { type: 'key-frame-needed' },
    state('standby', ready),
    'start-clip',
  ],
  ['freeze: the same, later', state('freeze'), { type: 'key-frame-needed' }, state('freeze', due)],

  ['standby: live returns', state('standby', ready), KEY_FRAME, state('live', ready), 'start-live'],
  ['standby: needs a key frame', state('standby', ready), FRAME, state('standby', ready), 'request-key-frame'],
  [
    'standby and held: live is kept back',
    state('standby', { ...ready, ...held }),
    KEY_FRAME,
    state('standby', { ...ready, ...held }),
  ],
  ['standby: still absent', state('standby', ready), absent(false), state('standby', ready)],
  ['standby: freeze-over is late', state('standby', ready), { type: 'freeze-over' }, state('standby', ready)],
  ['standby: another picture', state('standby', ready), { type: 'clip-ready' }, state('standby', ready), 'start-clip'],
  ['standby: no picture any more', state('standby', ready), { type: 'clip-gone' }, state('idle', due)],
  ['standby: held', state('standby', ready), hold(false), state('standby', { ...ready, ...held })],
  [
    'standby: released',
    state('standby', { ...ready, ...held }),
    { type: 'release' },
    state('standby', ready),
    'request-key-frame',
  ],
  [
    'standby: key frame for an output',
    state('standby', ready),
    { type: 'key-frame-needed' },
    state('standby', ready),
    'seek-key-frame',
  ],
];

t.test('every mode with every event', async (t) => {
  for (const [name, before, event, after, effect] of ROWS) {
    const step = stepVideo(before, event, WITH_PICTURE);
    t.strictSame(step, { state: after, ...(effect && { effect }) }, name);
  }
  const modes = ['idle', 'live', 'freeze', 'standby'];
  const events = ['frame', 'absent', 'freeze-over', 'clip-ready', 'clip-gone', 'hold', 'release', 'key-frame-needed'];
  const covered = new Set(ROWS.map(([, { mode }, { type }]) => `${mode} ${type}`));
  // A live push is never held: it leaves live when it is.
  for (const mode of modes) for (const type of events) t.ok(covered.has(`${mode} ${type}`), `${mode} ${type}`);
});

t.test('without a picture, video stops after the freeze', async (t) => {
  const rules = { hasPicture: false, freezes: true };
  t.strictSame(stepVideo(state('live'), absent(true), rules), { state: state('freeze'), effect: 'start-freeze' });
  t.strictSame(stepVideo(state('freeze'), { type: 'freeze-over' }, rules), { state: state('idle', due) });
  t.strictSame(stepVideo(state('live'), hold(true), rules), { state: state('idle', { ...held, ...due }) });
  t.strictSame(stepVideo(state('idle', due), KEY_FRAME, rules), { state: state('live'), effect: 'start-live' });
});

t.test('without a freeze, the clip follows at once', async (t) => {
  const rules = { hasPicture: true, freezes: false };
  t.strictSame(stepVideo(state('live', ready), absent(true), rules), {
    state: state('standby', ready),
    effect: 'start-clip',
  });
  t.strictSame(
    stepVideo(state('live'), absent(true), rules),
    { state: state('freeze', due), effect: 'start-freeze' },
    'a freeze is better than nothing until the clip is ready',
  );
});
