import { logStoreConformance } from './log-store-conformance.ts';
import { MemoryDisk, MemoryLog } from './memory-log.ts';

logStoreConformance('MemoryLog', () => {
  const disk = new MemoryDisk();
  return { make: () => new MemoryLog(disk), remove: () => undefined };
});
