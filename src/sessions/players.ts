import { limitReached } from '../observe/limits.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import { Player, type LearnFrameSize, type PlayRequest } from './player.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface PlayersOptions {
  readonly registry: StreamRegistry;
  /** Maximum number of players at the same time, over all doors. */
  readonly maxPlayers: number;
  readonly learnFrameSize?: LearnFrameSize;
}

/** All players of the gateway. */
export class Players {
  readonly #options: PlayersOptions;
  #count = 0;

  constructor(options: PlayersOptions) {
    this.#options = options;
  }

  /** Players that are connected or connecting. */
  get count(): number {
    return this.#count;
  }

  /** @throws {GatewayError} LIMIT_REACHED, or as {@link Player.open} */
  async play(request: PlayRequest): Promise<Player> {
    const { registry, maxPlayers, learnFrameSize } = this.#options;
    const stream = registry.find(request.streamName);
    if (stream?.publisher && this.#count >= maxPlayers)
      throw limitReached(
        'max_players',
        `The gateway already has ${maxPlayers} players (max_players). Try again when one has left.`,
      );
    this.#count++;
    try {
      const player = await Player.open(stream, request, learnFrameSize);
      inBackground(player.ended.then(() => this.#count--));
      return player;
    } catch (error) {
      this.#count--;
      throw error;
    }
  }
}
