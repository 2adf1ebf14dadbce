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
export function createSessions(settings: Settings, { refusals, learnFrameSize, ...parts }: SessionParts) {
  const { registry, directory, pushes, recorders } = parts;
  const admission = { check: (): void => refusals.forEach((part) => part.check()) };
  return {
    /** What publications of all kinds need. */
    publication: { registry, directory, pushes, ...(recorders && { recorders }), admission },
    publications: new Publications({ ...parts, audioPacketMs: settings.audio_packet_ms, admission }),
    players: new Players({ registry: parts.registry, maxPlayers: settings.max_players, learnFrameSize }),
    sessions: new ClientSessions(),
  };
}
