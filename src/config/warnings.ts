import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Settings } from './schema.ts';

/** What is valid and will probably not work, for the log and `config check`. */
export function settingsWarnings({ standby_source: source, standby_file: file, media_dir: media }: Settings): string[] {
  const found: string[] = [];
  const folder = path.resolve(media);
  if ((source === 'image' || source === 'video') && file !== '' && !existsSync(path.join(folder, file)))
    found.push(
      `standby_file: there is no ${file} in ${folder} (media_dir). Pushes with standby are refused until it is there.`,
    );
  return found;
}
