import type { Assembly } from '../../../runtime/assembly.ts';
import { SavedDestinations, type SavedDestinationsOptions } from './saved-destinations.ts';
import {
  SavedPushes,
  startGroupsOnPublish,
  type PublishStartsOptions,
  type SavedPushesOptions,
} from './saved-pushes.ts';

type Parts = SavedDestinationsOptions &
  Omit<SavedPushesOptions, 'saved'> &
  Omit<PublishStartsOptions, 'saved' | 'pushes'>;

/** Saved destinations, their pushes, and the groups that go live whenever their streams are published. */
export function createSaved(parts: Parts, assembly: Assembly): { saved: SavedDestinations; savedPushes: SavedPushes } {
  const saved = new SavedDestinations(parts);
  const savedPushes = new SavedPushes({ ...parts, saved });
  assembly.onClose(startGroupsOnPublish({ ...parts, saved, pushes: savedPushes }));
  return { saved, savedPushes };
}
