# browser.mk - report.html in a headless Chromium. Included by the Makefile. Needs Python 3 and Chromium, which
# nothing else does: where they are missing it says so and passes.
test-browser: all ## drives report.html in a headless Chromium: mouse, keyboard, screen reader, paper
	$(Q)python3 -B tests/browser/test_report.py $(PROGRAM) $(BUILD)/browser

deps-browser: ## installs what make test-browser needs
	$(call install_packages,python3 chromium)

.PHONY: test-browser deps-browser
