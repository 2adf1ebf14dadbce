import { wallClockDate } from '../runtime/wall-clock.ts';
import type { GatewayEvent } from './events.ts';

/** A telephone call, as far as hooks see it. */
export interface ObservedCall {
  readonly view: {
    readonly callId: string;
    readonly streamName: string;
    readonly incoming: boolean;
    readonly caller: string;
    readonly callee: string;
    readonly status: string;
    readonly sipStatus: number;
    readonly reason: string | null;
    readonly reasonCode: string | null;
    readonly audioCodec: string | null;
    readonly videoCodec: string | null;
    readonly createdAt: string;
    readonly answeredAt: string | null;
    readonly endedAt: string | null;
  };
}

export interface ObservedCalls {
  /** A call has begun, has another status, or is over. */
  on(event: 'call', listener: (call: ObservedCall) => void): unknown;
}

/** Accounts at PBXs, as far as hooks see them. */
export interface ObservedRegistrations {
  /** An account was registered, or cannot be. */
  on(
    event: 'registration',
    listener: (view: {
      readonly account: string;
      readonly state: string;
      readonly reasonCode: string | null;
      readonly reason: string | null;
      readonly expiresAt: string | null;
    }) => void,
  ): unknown;
}

export function observeRegistrations(
  registrations: ObservedRegistrations,
  publish: (event: GatewayEvent) => void,
): void {
  registrations.on('registration', ({ account, state, reasonCode: code, reason, expiresAt }) => {
    const timestamp = wallClockDate().toISOString();
    if (state === 'registered' && expiresAt !== null)
      publish({ type: 'sip.registered', timestamp, data: { account, expiresAt } });
    if (state === 'failed' && code !== null)
      publish({ type: 'sip.registration_failed', timestamp, data: { account, code, reason: reason ?? '' } });
  });
}

export function observeCalls(calls: ObservedCalls, publish: (event: GatewayEvent) => void): void {
  calls.on('call', (call) => {
    const event = eventOf(call);
    if (event) publish({ ...event, timestamp: wallClockDate().toISOString() } as GatewayEvent);
  });
}

function eventOf({ view }: ObservedCall): Pick<GatewayEvent, 'type' | 'data'> | undefined {
  const { callId: id, streamName: stream, incoming, caller, callee, createdAt } = view;
  const data = { id, stream, incoming, caller, callee, createdAt };
  switch (view.status) {
    case 'PENDING':
      return { type: 'call.started', data };
    case 'RING':
    case 'RING_MEDIA':
      return { type: 'call.ringing', data };
    case 'ESTABLISHED':
      return {
        type: 'call.established',
        data: {
          ...data,
          ...(view.audioCodec && { audioCodec: view.audioCodec }),
          ...(view.videoCodec && { videoCodec: view.videoCodec }),
        },
      };
    case 'HOLD':
      return { type: 'call.held', data };
    case 'FINISH':
    case 'BUSY':
    case 'FAILED':
      return view.endedAt === null
        ? undefined
        : {
            type: 'call.ended',
            data: {
              ...data,
              code: view.reasonCode ?? 'SIP_ENDED',
              reason: view.reason ?? '',
              sipStatus: view.sipStatus,
              ...(view.answeredAt && { answeredAt: view.answeredAt }),
              endedAt: view.endedAt,
            },
          };
    default:
      return undefined;
  }
}
