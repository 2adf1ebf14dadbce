/** What a continuous rendition sends as video: a pure state machine. */

export type VideoMode =
  /** Nothing: nothing has arrived and no clip is ready, or there is no standby picture. */
  | 'idle'
  | 'live'
  /** The last live frame is repeated. */
  | 'freeze'
  /** The standby clip. */
  | 'standby';

export interface VideoState {
  readonly mode: VideoMode;
  /** Switched to standby by hand: live video is not let through. */
  readonly held: boolean;
  readonly clipReady: boolean;
  /** The clip follows as soon as it is ready. */
  readonly due: boolean;
}

export type VideoEvent =
  /** A live frame has arrived. */
  | { readonly type: 'frame'; readonly keyFrame: boolean }
  /** Live video has ceased, or none arrives. `canFreeze`: the last frame can be repeated. */
  | { readonly type: 'absent'; readonly canFreeze: boolean }
  /** The last frame has been repeated for long enough. */
  | { readonly type: 'freeze-over' }
  /** The first clip is ready, or another one takes its place. */
  | { readonly type: 'clip-ready' }
  /** The push shall have no standby picture from now on. */
  | { readonly type: 'clip-gone' }
  | { readonly type: 'hold'; readonly canFreeze: boolean }
  | { readonly type: 'release' }
  /** An output needs a key frame to begin with. */
  | { readonly type: 'key-frame-needed' };

export type VideoEffect =
  | 'start-live'
  | 'start-freeze'
  /** Begins with the first frame of the clip. */
  | 'start-clip'
  /** Goes on with a key frame of the clip. */
  | 'seek-key-frame'
  | 'request-key-frame';

export interface VideoStep {
  readonly state: VideoState;
  readonly effect?: VideoEffect;
}

export const INITIAL_VIDEO: VideoState = { mode: 'idle', held: false, clipReady: false, due: false };

/**
 * @param hasPicture whether a clip is ready or is to be expected. Without one the video stops when the freeze is over.
 * @param freezes whether the last frame is repeated for some time first
 */
export function stepVideo(
  state: VideoState,
  event: VideoEvent,
  { hasPicture, freezes }: { readonly hasPicture: boolean; readonly freezes: boolean },
): VideoStep {
  const { mode, held, clipReady } = state;
  switch (event.type) {
    case 'frame':
      if (mode === 'live' || held) return { state };
      if (!event.keyFrame) return { state, effect: 'request-key-frame' };
      return { state: { ...state, mode: 'live', due: false }, effect: 'start-live' };
    case 'absent':
      if (mode === 'idle') return clip({ ...state, due: true });
      if (mode !== 'live') return { state };
      if (freezes && event.canFreeze) return { state: { ...state, mode: 'freeze' }, effect: 'start-freeze' };
      return leaveLive(state, event.canFreeze, hasPicture);
    case 'freeze-over':
      if (mode !== 'freeze') return { state };
      return hasPicture || clipReady ? clip({ ...state, due: true }) : { state: { ...state, mode: 'idle', due: true } };
    case 'clip-ready': {
      const ready = { ...state, clipReady: true };
      if (mode === 'standby') return { state: ready, effect: 'start-clip' };
      return state.due ? clip(ready) : { state: ready };
    }
    case 'clip-gone': {
      const gone = { ...state, clipReady: false };
      const isShown = mode === 'standby' || (mode === 'freeze' && state.due);
      return { state: isShown ? { ...gone, mode: 'idle', due: true } : gone };
    }
    case 'hold':
      if (held) return { state };
      if (mode === 'live') return leaveLive({ ...state, held: true }, event.canFreeze, hasPicture);
      return mode === 'standby' ? { state: { ...state, held: true } } : clip({ ...state, held: true, due: true });
    case 'release':
      return held ? { state: { ...state, held: false }, effect: 'request-key-frame' } : { state };
    case 'key-frame-needed':
      if (mode === 'standby') return { state, effect: 'seek-key-frame' };
      // No output can begin with a repeated frame.
      if (mode === 'freeze') return clip({ ...state, due: true });
      return { state, effect: 'request-key-frame' };
  }
}

/** The clip follows at once if it is ready. Otherwise what is sent goes on until it is. */
function clip(state: VideoState): VideoStep {
  if (!state.clipReady) return { state };
  return { state: { ...state, mode: 'standby', due: false }, effect: 'start-clip' };
}

function leaveLive(state: VideoState, canFreeze: boolean, hasPicture: boolean): VideoStep {
  const due = { ...state, due: true };
  if (state.clipReady) return clip(due);
  if (canFreeze && hasPicture) return { state: { ...due, mode: 'freeze' }, effect: 'start-freeze' };
  return { state: { ...due, mode: 'idle' } };
}
