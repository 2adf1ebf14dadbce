import type { Settings } from '../config/schema.ts';
import { ClientSessions } from './client-sessions.ts';
import { Players, type PlayersOptions } from './players.ts';
import { Publications, type PublicationsOptions } from './publications.ts';

export interface SessionParts
  extends
    Pick<PublicationsOptions, 'pool' | 'registry' | 'directory' | 'pushes' | 'recorders' | 'logger'>,
    Pick<PlayersOptions, 'learnFrameSize'> {
  /** What may refuse new publications. */
  readonly refusals: readonly { check(): void }[];
}

/** Creates what starts and lists the publishers and players of all doors. */
export const createSessions = (settings: Settings, { refusals, learnFrameSize, ...parts }: SessionParts) => ({
  publications: new Publications({
    ...parts,
    audioPacketMs: settings.audio_packet_ms,
    admission: { check: () => refusals.forEach((part) => part.check()) },
  }),
  players: new Players({ registry: parts.registry, maxPlayers: settings.max_players, learnFrameSize }),
  sessions: new ClientSessions(),
});
