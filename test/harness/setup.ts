/** Runs before each file of tests; its hook runs after all of theirs. */
import { afterAll } from 'vitest';
import { assertNoLeaks, takeBaseline } from './leaks.js';

const baseline = takeBaseline();
afterAll(() => assertNoLeaks(baseline));
