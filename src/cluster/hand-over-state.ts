/**
 * The hand-over of a stream from a node that drains to another one, as two pure state machines. The pushes are connected
 * by the new node first; the lease moves when their destinations have accepted them; then the former node ends its own.
 */

/** At the node that drains. */
export type GiveState =
  /** No node has accepted the offer. */
  | 'offered'
  /** A node connects the pushes; the stream runs here. */
  | 'accepted'
  /** The stream has another owner, or has ended: its connections are being closed. */
  | 'ending'
  | 'over';

export type GiveEvent =
  /** Nobody has accepted the offer, or not renewed that. */
  | 'open'
  | 'accepted'
  /** Another node owns the stream. */
  | 'taken'
  /** This node does not own the stream any more, for whatever reason. */
  | 'released'
  /** The pushes have closed their connections. */
  | 'closed'
  /** Streams are not to move any more. */
  | 'stopped';

/**
 * `let-go`: ends the stream and its pushes here. `await-close`: reports `closed`. `withdraw`: ends the offer, with which
 * the new node learns that the connections are closed.
 */
export type GiveEffect =
  'report-accepted' | 'report-abandoned' | 'let-go' | 'await-close' | 'withdraw' | 'report-moved';

export interface GiveStep {
  readonly state: GiveState;
  readonly effects: readonly GiveEffect[];
}

export function stepGive(state: GiveState, event: GiveEvent): GiveStep {
  switch (state) {
    case 'offered':
    case 'accepted':
      switch (event) {
        case 'open':
          return state === 'accepted' ? give('offered', 'report-abandoned') : give('offered');
        case 'accepted':
          return state === 'offered' ? give('accepted', 'report-accepted') : give('accepted');
        case 'taken':
          return give('ending', 'report-moved', 'let-go', 'await-close');
        case 'released':
          return give('ending', 'await-close');
        case 'stopped':
          return give('over', 'withdraw');
        case 'closed':
          return give(state);
      }
      break;
    case 'ending':
      return event === 'closed' ? give('over', 'withdraw') : give('ending');
    case 'over':
      return give('over');
  }
}

const give = (state: GiveState, ...effects: GiveEffect[]): GiveStep => ({ state, effects });

/** At the node that takes the stream. */
export type TakeState =
  /** The pushes connect; the former node owns the stream. */
  | { readonly phase: 'connecting' }
  /** The lease is being claimed. `held`: a server refuses the name until the former node has closed its connection. */
  | { readonly phase: 'claiming'; readonly held: boolean }
  /** This node owns the stream; the former node is closing its connections. */
  | { readonly phase: 'waiting' }
  | { readonly phase: 'over' };

export type TakeEvent =
  /** All destinations that the stream is pushed to receive frames. */
  | 'ready'
  /** The same, but for servers that hold the name for the former node. */
  | 'held'
  /** A push cannot go on. */
  | 'failed'
  /** It has taken too long. */
  | 'overdue'
  /** The offer has ended: the stream stays where it is, or the former node has closed its connections, or is gone. */
  | 'withdrawn'
  | 'granted'
  /** The stream has another owner, or Redis does not answer. */
  | 'refused';

/** `drop`: ends the connections. `keep`: the pushes are those of this node. `retry`: connects pushes that were refused. */
export type TakeEffect = 'claim' | 'drop' | 'avoid' | 'keep' | 'retry';

export interface TakeStep {
  readonly state: TakeState;
  readonly effects: readonly TakeEffect[];
}

export function stepTake(state: TakeState, event: TakeEvent): TakeStep {
  const stay: TakeStep = { state, effects: [] };
  switch (state.phase) {
    case 'connecting':
      switch (event) {
        case 'ready':
        case 'held':
          return { state: { phase: 'claiming', held: event === 'held' }, effects: ['claim'] };
        case 'failed':
        case 'overdue':
          return over('drop', 'avoid');
        case 'withdrawn':
          return over('drop');
        default:
          return stay;
      }
    case 'claiming':
      switch (event) {
        case 'granted':
          return state.held ? { state: { phase: 'waiting' }, effects: ['keep'] } : over('keep');
        case 'refused':
          return over('drop', 'avoid');
        default:
          return stay;
      }
    case 'waiting':
      return event === 'withdrawn' || event === 'overdue' ? over('retry') : stay;
    case 'over':
      return stay;
  }
}

const over = (...effects: TakeEffect[]): TakeStep => ({ state: { phase: 'over' }, effects });
