# The demo page. Included by the top Makefile, which has the stamps, the package (web) and the Python environment.
DEMO := runtime/web/demo
DEMO_NODE := runtime/web/node_modules/.bin/node

.PHONY: web-demo test-web-demo

web-demo: build/web-demo-models/models.json web
	$(DEMO_NODE) $(DEMO)/build.mjs build/web-demo-models build/web-demo
	$(BIN)/python $(DEMO)/serve.py build/web-demo

# MobileNet-v2 takes a minute to convert and shows nothing that the other two do not test.
test-web-demo: build/web-demo-test-models/models.json web $(STAMPS)/apt
	$(DEMO_NODE) $(DEMO)/build.mjs build/web-demo-test-models build/web-demo-test
	DEMO=build/web-demo-test $(DEMO_NODE) --test $(DEMO)/demo.test.mjs

build/web-demo-models/models.json: $(DEMO)/make_models.py | $(STAMPS)/convert
	$(BIN)/python $< --output $(@D)

build/web-demo-test-models/models.json: $(DEMO)/make_models.py | $(STAMPS)/convert
	$(BIN)/python $< --output $(@D) --tasks faces,digits
