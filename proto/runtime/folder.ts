import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * Makes the folder, and those above it that are missing; one that is there is left as it is. In the place of Node's recursive
 * mkdir, which goes round without end below a folder that was removed while something still holds it, as a mount or a process does:
 * nothing can be made in such a folder, and it is there all the same. Synchronous: a few system calls.
 * @param mode of every folder that is made. @throws what the file system says.
 */
export function makeFolder(folder: string, mode: number): void {
  try {
    mkdirSync(folder, mode);
  } catch (error) {
    if (isFolder(folder)) return;
    const parent = path.dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === folder) throw error;
    makeFolder(parent, mode);
    // What still fails has another reason than a missing parent; another process may have been faster.
    try {
      mkdirSync(folder, mode);
    } catch (last) {
      if (!isFolder(folder)) throw last;
    }
  }
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}
