import type { StandbyView } from '../../views/push-view.ts';

/** That a push shows standby instead of live video, and why. */
export interface StandbyState {
  readonly since: Date;
  /** The publisher is away; or it sends no video; or standby was switched on by hand. */
  readonly reason: StandbyView['reason'];
  /** `freeze`: the last frame is repeated; `none`: the destination receives no video. */
  readonly picture: StandbyView['picture'];
}

/** That the publisher is away. */
export interface StandbyAbsence {
  readonly since: Date;
  /** When the push ends unless the publisher is back; never if unset. */
  readonly until?: Date;
}

export const isSameState = (a: StandbyState | undefined, b: StandbyState | undefined): boolean =>
  a?.since === b?.since && a?.reason === b?.reason && a?.picture === b?.picture;
