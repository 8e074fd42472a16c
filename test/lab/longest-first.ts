import path from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes a minute and a half or more, the longest first, by the times that `npm test` prints. */
const LONG = ['network', 'node-failure', 'fault-daemons', 'network-restarts', 'clients', 'addresses', 'routed'];

/** Vitest begins with the largest file; a long one that comes late would run alone in the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ project, moduleId }: TestSpecification): number {
  const at = project.name === 'e2e' ? LONG.indexOf(path.basename(moduleId, '.test.ts')) : -1;
  return at < 0 ? LONG.length : at;
}
