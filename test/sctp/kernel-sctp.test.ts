import { expect, it } from 'vitest';
import { release } from 'node:os';
it('runs', () => {
  expect(release()).toMatch(/^6/);
});
