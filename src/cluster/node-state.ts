/** The life of a node in its cluster as a pure state machine. Once a second it learns whether its media workers answer. */
export type NodeState =
  /** The first heartbeat has not been written yet. */
  | 'joining'
  | 'in-service'
  /** Its media workers do not answer: it writes no heartbeat, so that it disappears. */
  | 'silent'
  /** They have not answered for longer than a moment: the node has given its streams up, so that others take them. */
  | 'failed'
  | 'draining'
  | 'left';

export type NodeEvent =
  | 'workers-answered'
  | 'workers-silent'
  | 'drained'
  | 'closed'
  /** Another running process uses the id of this node. */
  | 'id-taken';

/**
 * `beat`: writes the heartbeat and renews the leases. `leave`: removes both. `give-up`: ends all streams and gives their
 * names back.
 */
export type NodeEffect = 'beat' | 'leave' | 'give-up' | 'report-silence' | 'report-return' | 'report-conflict';

export interface NodeStep {
  readonly state: NodeState;
  readonly effects: readonly NodeEffect[];
}

/** @param isDraining whether the node drains, which a silent node remembers */
export function stepNode(state: NodeState, event: NodeEvent, isDraining: boolean): NodeStep {
  if (state === 'left') return to('left');
  const serving: NodeState = isDraining ? 'draining' : 'in-service';
  switch (event) {
    case 'workers-answered':
      return isSilent(state) ? to(serving, 'report-return', 'beat') : to(serving, 'beat');
    case 'workers-silent':
      if (state === 'failed') return to('failed');
      return state === 'silent' ? to('failed', 'give-up') : to('silent', 'report-silence');
    case 'drained':
      return isSilent(state) ? to(state) : to('draining', 'beat');
    case 'id-taken':
      return to(state, 'report-conflict');
    case 'closed':
      return to('left', 'leave');
  }
}

const isSilent = (state: NodeState): boolean => state === 'silent' || state === 'failed';

const to = (state: NodeState, ...effects: NodeEffect[]): NodeStep => ({ state, effects });
